#include <random>

#include "per_call_world.h"

namespace nomiqon::metering::testing {
namespace {

MeterTerms terms_of(std::string provider, std::int64_t max_read_units = 0) {
    MeterTerms terms = built_in_terms();
    terms.provider = std::move(provider);
    terms.max_read_units = max_read_units;
    return terms;
}

std::expected<Quote, Refusal> standard(std::string_view target, std::string_view body = {}) {
    return ask("pinecone", target, body, terms_of("pinecone/standard", 10));
}

std::string repeated(int count, std::string_view item) {
    std::string list;
    for (int i = 0; i < count; ++i)
        list += (i == 0 ? "" : ",") + std::string{item};
    return list;
}

std::string record(int dimensions, std::string_view metadata = "") {
    std::string text = R"({"id": "12345678", "values": [)" + repeated(dimensions, "0.25") + "]";
    if (!metadata.empty()) text += R"(, "metadata": )" + std::string{metadata};
    return text + "}";
}

TEST(PineconeMeter, Rule14AnUpsertCostsByItsSize) {
    // A record of 768 dimensions has 3072 bytes and its id of 10; twice, 6.2 KB: 7 units of 4e-6.
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert", R"({"vectors": [)" + record(768) + "]}")),
              "0.000028");
    EXPECT_EQ(
        bound_of(standard("POST /vectors/upsert", R"({"vectors": [)" + repeated(100, record(768)) + "]}")),
        "0.002468");
    // At least 5 units.
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert", R"({"vectors": [)" + record(8) + "]}")), "0.000020");
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert", R"({"vectors": []})")), "0.000020");
    const std::string metadata = R"({"text": ")" + std::string(5000, 'a') + R"("})";
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert", R"({"vectors": [)" + record(8, metadata) + "]}")),
              "0.000044");
    EXPECT_EQ(
        bound_of(standard("POST /vectors/upsert",
                          R"({"vectors": [{"id": "a", "sparseValues": {"indices": [)" + repeated(1000, "1") +
                              R"(], "values": [)" + repeated(1000, "0.5") + "]}}]}")),
        "0.000068");
}

TEST(PineconeMeter, Rule14AnUpdateCostsTheOldRecordAndTheNew) {
    const auto update = [](std::string_view body) {
        return bound_of(standard("POST /vectors/update", body));
    };
    // The largest record has 137.9 KB; with a vector of 8 dimensions, 57.9 KB.
    EXPECT_EQ(update(R"({"id": "a", "setMetadata": {"b": 1}})"), "0.001104");
    EXPECT_EQ(update(R"({"id": "a", "values": [1, 2, 3, 4, 5, 6, 7, 8]})"), "0.000464");
    EXPECT_EQ(update(R"({"filter": {"a": 1}, "setMetadata": {"b": 1}})"), "price_unknown");
    EXPECT_EQ(update(R"({"setMetadata": {"b": 1}})"), "bad_request");
}

TEST(PineconeMeter, Rule14ADeletionCostsWhatItDeletes) {
    const auto remove = [](std::string_view body) {
        return bound_of(standard("POST /vectors/delete", body));
    };
    EXPECT_EQ(remove(R"({"deleteAll": true, "namespace": "a"})"), "0.000020");
    EXPECT_EQ(remove(R"({"ids": ["a"]})"), "0.000552");
    EXPECT_EQ(remove(R"({"ids": ["a", "b"]})"), "0.001104");
    EXPECT_EQ(remove(R"({"filter": {"a": 1}})"), "price_unknown");
    EXPECT_EQ(remove(R"({"deleteAll": "true"})"), "bad_request");
    EXPECT_EQ(bound_of(standard("DELETE /namespaces/__default__")), "0.000020");
}

TEST(PineconeMeter, Rule14AWriteIsPaidWhenItIsServed) {
    const std::string body = R"({"vectors": [)" + record(8) + "]}";
    const auto written = [&](const Answer& answer) {
        return settled(standard("POST /vectors/upsert", body), answer);
    };
    EXPECT_EQ(written({.body = R"({"upsertedCount": 1})"}), "0.000020");
    EXPECT_EQ(written({.status = 400, .body = R"({"code": 3, "message": "dimension"})"}), "0.000000");
    EXPECT_EQ(written({.status = 503, .body = R"({"code": 14, "message": "unavailable"})"}), "0.000000");
    EXPECT_EQ(written({.status = 502, .body = "<html>"}), "0.000020 unknown");
}

TEST(PineconeMeter, Rule14ReadsNeedTheRoutesLimit) {
    for (const auto* target : {"POST /query", "GET /vectors/fetch?ids=a&ids=b", "GET /vectors/list?prefix=a",
                               "HEAD /vectors/list", "POST /vectors/fetch_by_metadata"}) {
        EXPECT_EQ(bound_of(ask("pinecone", target, "{}")), "price_unknown") << target;
        EXPECT_EQ(bound_of(standard(target, "{}")), "0.000160") << target;
    }
}

TEST(PineconeMeter, Rule15AReadSettlesItsUnits) {
    const auto queried = [](std::string_view body, int status = 200) {
        return settled(standard("POST /query", R"({"topK": 3, "vector": [1]})"),
                       {.status = status, .body = body});
    };
    EXPECT_EQ(queried(R"({"matches": [{"id": "a"}], "usage": {"readUnits": 5}})"), "0.000080");
    EXPECT_EQ(queried(R"({"matches": [{"id": "a"}], "usage": {"read_units": 1, "egressBytes": 900}})"),
              "0.000016");
    EXPECT_EQ(queried(R"({"matches": [{"id": "a"}], "usage": {"readUnits": 12}})"), "0.000192");
    EXPECT_EQ(queried(R"({"matches": [{"id": "a"}], "usage": {"readUnits": 1, "writeUnits": 4}})"),
              "0.000160 alarm");
    EXPECT_EQ(queried(R"({"matches": [{"id": "a"}], "usage": {"readUnits": "5"}})"), "0.000160 alarm");
}

TEST(PineconeMeter, Rule16AReadWithoutUnitsIsPaidInFull) {
    const auto queried = [](std::string_view body, int status = 200) {
        return settled(standard("POST /query", "{}"), {.status = status, .body = body});
    };
    EXPECT_EQ(queried(R"({"matches": [{"id": "a"}]})"), "0.000160 in_full");
    EXPECT_EQ(queried(R"({"matches": [{"id": "a"}], "usage": {"readUnits": 0}})"), "0.000160 in_full");
    EXPECT_EQ(queried(R"({"matches": [], "usage": {"readUnits": 0}})"), "0.000000");
    EXPECT_EQ(queried(R"({"code": 8, "message": "limit"})", 429), "0.000000");
}

TEST(PineconeMeter, Rule10ThePlanThatNobodyNamedIsTheDearest) {
    EXPECT_EQ(bound_of(ask("pinecone", "POST /query", "{}", terms_of("", 10))), "0.000240");
    EXPECT_EQ(bound_of(ask("pinecone", "POST /query", "{}", terms_of("pinecone/enterprise", 10))),
              "0.000240");
    EXPECT_EQ(bound_of(ask("pinecone", "POST /query", "{}", terms_of("pinecone/other", 10))),
              "price_unknown");
}

TEST(PineconeMeter, Rule9EmbeddingsAreBoundedByTheirText) {
    const auto quote = standard("POST /embed", R"({"model": "multilingual-e5-large",
        "parameters": {"input_type": "passage"}, "inputs": [{"text": "four"}, {"text": "five!"}]})");
    EXPECT_EQ(bound_of(quote), "0.00000328");
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->model, "multilingual-e5-large");
    EXPECT_EQ(settled(quote, {.body = R"({"model": "multilingual-e5-large", "data": [{"values": [0.5]}],
                                          "usage": {"total_tokens": 10}})"}),
              "0.0000008");
    EXPECT_EQ(bound_of(standard("POST /embed", R"({"model": "x", "inputs": [{"text": "a"}]})")),
              "price_unknown");
    EXPECT_EQ(bound_of(standard("POST /embed",
                                R"({"model": "multilingual-e5-large", "inputs": [{"image_url": "a"}]})")),
              "price_unknown");
    EXPECT_EQ(bound_of(standard("POST /embed", R"({"model": "multilingual-e5-large"})")), "bad_request");
}

TEST(PineconeMeter, Rule14RerankingsAreSoldByTheRequest) {
    const auto rerank = [] {
        return standard("POST /rerank",
                        R"({"model": "bge-reranker-v2-m3", "query": "a", "documents": [{"text": "b"}]})");
    };
    EXPECT_EQ(bound_of(rerank()), "0.002000");
    EXPECT_EQ(settled(rerank(), {.body = R"({"data": [{"index": 0}], "usage": {"rerank_units": 1}})"}),
              "0.002000");
    EXPECT_EQ(settled(rerank(), {.body = R"({"data": [{"index": 0}]})"}), "0.002000 in_full");
}

TEST(PineconeMeter, Rule1TheControlPlaneIsFreeToReadOnly) {
    for (const auto* target : {"GET /indexes", "GET /indexes/a", "DELETE /indexes/a", "GET /models",
                               "GET /collections", "POST /describe_index_stats", "GET /namespaces"}) {
        EXPECT_EQ(bound_of(standard(target, "{}")), "free") << target;
    }
    for (const auto* target :
         {"POST /indexes", "PATCH /indexes/a", "POST /indexes/create-for-model", "POST /collections",
          "POST /bulk/imports", "POST /assistant/assistants", "GET /assistant/assistants",
          "POST /assistant/chat/a", "POST /records/namespaces/a/search", "POST /records/namespaces/a/upsert",
          "POST /query/", "GET /query", "DELETE /vectors/delete"}) {
        EXPECT_EQ(bound_of(standard(target, "{}")), "price_unknown") << target;
    }
}

TEST(PineconeMeter, Rule6RefusesWhatTwoParsersReadDifferently) {
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert", R"({"vectors": [], "vectors": [1]})")),
              "bad_request");
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert",
                                R"({"vectors": [{"id": "a", "sparse_values": {"indices": [1]}}]})")),
              "bad_request");
    EXPECT_EQ(bound_of(standard("POST /vectors/delete", R"({"delete_all": true})")), "bad_request");
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert", R"({"vectors": [1]})")), "bad_request");
    EXPECT_EQ(bound_of(standard("POST /vectors/upsert", R"({"vectors": {}})")), "bad_request");
}

TEST(PineconeMeter, Rule14TheBoundIsNeverBelowTheSettlement) {
    std::mt19937 random{15};
    const auto pick = [&](int from, int to) { return std::uniform_int_distribution{from, to}(random); };
    for (int round = 0; round < 200; ++round) {
        const int most = pick(1, 1000);
        const auto read = ask("pinecone", "POST /query", "{}", terms_of("", most));
        const std::string units = std::to_string(pick(0, most));
        EXPECT_LE(
            charge_of(read, {.body = R"({"matches": [{}], "usage": {"readUnits": )" + units + "}}"}).cost,
            read->bound);

        std::string text(static_cast<std::size_t>(pick(0, 300)), 'a');
        const auto embed =
            standard("POST /embed", R"({"model": "llama-text-embed-v2", "inputs": [")" + text + R"("]})");
        ASSERT_TRUE(embed);
        const std::string tokens = std::to_string(pick(1, static_cast<int>(text.size()) + 8));
        EXPECT_LE(
            charge_of(embed, {.body = R"({"data": [{}], "usage": {"total_tokens": )" + tokens + "}}"}).cost,
            embed->bound);
    }
}

}  // namespace
}  // namespace nomiqon::metering::testing
