"""Searches and vectors: Tavily's credits, Brave and SerpApi by the call, Pinecone's units.

https://docs.tavily.com, https://api-dashboard.search.brave.com/documentation, https://serpapi.com/search-api,
https://docs.pinecone.io/reference/api"""

from parts import CODINGS, Table, alarm, charge, in_full, json_answer, nothing, refused, request, unknown

BOOK = {
    "tavily": {"litellm_provider": "tavily", "mode": "search", "cost_per_credit": 0.008},
    "brave/search": {"litellm_provider": "brave", "mode": "search", "input_cost_per_query": 0.005},
    "serpapi/search": {"litellm_provider": "serpapi", "mode": "search", "input_cost_per_query": 0.015},
    "pinecone/standard": {"litellm_provider": "pinecone", "mode": "vector_store", "cost_per_read_unit": 1.6e-05,
                          "cost_per_write_unit": 4e-06},
}


def tavily():
    table = Table("tavily", BOOK)

    def ask(path="/search", **members):
        return request(path, {"query": "Größe 世界", "include_usage": True, **members},
                       headers=[["Authorization", "Bearer tvly-x"]])

    def found(credits, **members):
        return {"query": "Größe 世界", "follow_up_questions": None, "answer": None, "images": [], "results": [
            {"title": "世界", "url": "https://a.example/", "content": "…", "score": 0.9, "raw_content": None}],
            "response_time": 1.67, "request_id": "123e", **({} if credits is None else {"usage": {"credits": credits}}),
            **members}

    def credits(count):
        return table.cost("tavily", (count, "cost_per_credit"))

    for coding in CODINGS:
        table.add(f"tavily search, {coding}", [14, 15], ask(), json_answer(found(1), coding=coding), charge(credits(1)),
                  at_least=credits(1), at_most=credits(1))
    table.add("tavily search, cut", [17], ask(), json_answer(found(1), cut_at=50), unknown())
    table.add("tavily search, the usage is asked for", [14], request("/search", {"query": "x"}), json_answer(found(1)),
              charge(credits(1)), sent={"include_usage": True})
    table.add("tavily search, advanced", [14], ask(search_depth="advanced"), json_answer(found(2)), charge(credits(2)),
              at_least=credits(2))
    table.add("tavily search, auto that stays basic", [14], ask(auto_parameters=True), json_answer(found(1)),
              charge(credits(1)), at_least=credits(2))
    table.add("tavily search, no usage", [16], ask(), json_answer(found(None)), in_full())
    table.add("tavily search, 0 credits beside results", [16], ask(), json_answer(found(0)), in_full())
    table.add("tavily search, 0 credits and no results", [16], ask(), json_answer(found(0, results=[])), nothing())
    table.add("tavily search, a credit that is a text", [15], ask(), json_answer(found("1")), alarm())
    urls = [f"https://a.example/{n}" for n in range(7)]
    table.add("tavily extract, of seven pages", [14], ask("/extract", urls=urls), json_answer(found(2)),
              charge(credits(2)), at_least=credits(2))
    table.add("tavily crawl, by its limit", [14], ask("/crawl", url="https://a.example", limit=20), json_answer(found(5)),
              charge(credits(5)), at_least=credits(2 + 4))
    table.add("tavily research, its most at once", [3, 14], request("/research", {"input": "x", "model": "mini"}),
              json_answer({"request_id": "1", "status": "pending"}), charge(credits(110)), at_least=credits(110))
    for status, expected in ((400, nothing()), (401, nothing()), (429, nothing()), (432, nothing()), (500, nothing()),
                             (408, unknown())):
        table.add(f"tavily search, {status} with JSON", [17], ask(), json_answer({"detail": {"error": "no"}}, status),
                  expected)
    table.add("free: tavily's usage", [1], request("/usage", None, "GET"), json_answer({"key": {"usage": 3}}), nothing(),
              at_most=0)
    table.add("tavily, a path that nobody knows", [1], ask("/searches"), None, refused("price_unknown"))
    return table


def by_the_call():
    brave, serpapi = Table("brave", BOOK), Table("serpapi", BOOK)
    asked = request("/res/v1/web/search", None, "GET", query="q=gr%C3%B6%C3%9Fe&count=5",
                    headers=[["X-Subscription-Token", "x"]])
    one = brave.cost("brave/search", (1, "input_cost_per_query"))
    results = {"type": "search", "query": {"original": "größe"}, "web": {"type": "search", "results": [{"title": "世界"}]}}
    for coding in ("identity", "gzip"):
        brave.add(f"brave, GET costs, {coding}", [1], asked, json_answer(results, coding=coding), charge(one))
    brave.add("brave, HEAD costs as GET", [1], {**asked, "method": "HEAD"}, json_answer(b""), charge(one))
    brave.add("brave, 429", [17], asked, json_answer({"type": "ErrorResponse", "error": {"status": 429}}, 429), nothing())
    brave.add("brave, 500 without JSON", [17], asked, json_answer(b"oops", 500, content_type="text/plain"), unknown())
    brave.add("brave, a path that nobody knows", [1], {**asked, "path": "/res/v2/web/search"}, None,
              refused("price_unknown"))
    asked = request("/search.json", None, "GET", query="engine=google&q=coffee&api_key=from-the-agent")
    one = serpapi.cost("serpapi/search", (1, "input_cost_per_query"))
    told = {"search_metadata": {"id": "65a", "status": "Success"}, "search_parameters": {"engine": "google"},
            "organic_results": [{"position": 1, "title": "Kaffee"}]}
    serpapi.add("serpapi, GET costs", [1, 5], asked, json_answer(told), charge(one))
    serpapi.add("serpapi, a search that failed", [17], asked, json_answer(
        {"search_metadata": {"id": "65a", "status": "Error"}, "error": "we could not"}), nothing())
    serpapi.add("serpapi, a parameter that is there twice", [6], {**asked, "query": asked["query"] + "&engine=bing"}, None,
                refused("bad_request"))
    serpapi.add("free: serpapi's account", [1], {**asked, "path": "/account.json"}, json_answer({"account_id": "5"}),
                nothing(), at_most=0)
    return brave, serpapi


def pinecone():
    table = Table("pinecone", BOOK)
    plan = {"provider": "pinecone/standard", "max_read_units": 50}
    query = request("/query", {"vector": [0.1] * 8, "topK": 3, "namespace": "n"})
    matches = {"matches": [{"id": "a", "score": 0.9}], "namespace": "n", "usage": {"readUnits": 6}}

    def reads(count):
        return table.cost("pinecone/standard", (count, "cost_per_read_unit"))

    for coding in ("identity", "gzip", "zstd"):
        table.add(f"pinecone query, {coding}", [14, 15], query, json_answer(matches, coding=coding), charge(reads(6)),
                  terms=plan, at_least=reads(50), at_most=reads(50))
    table.add("pinecone query, cut", [17], query, json_answer(matches, cut_at=20), unknown(), terms=plan)
    table.add("pinecone query, no usage", [16], query, json_answer({"matches": matches["matches"]}), in_full(), terms=plan)
    table.add("pinecone query, no maxReadUnits", [14], query, None, refused("price_unknown"),
              terms={"provider": "pinecone/standard"})
    small = request("/vectors/upsert", {"vectors": [{"id": "a", "values": [0.1, 0.2]}], "namespace": "n"})
    table.add("pinecone upsert, the least of a write", [14], small, json_answer({"upsertedCount": 1}),
              charge(table.cost("pinecone/standard", (5, "cost_per_write_unit"))), terms=plan)
    # 100 records of 768 dimensions: 4 bytes each, and what was there before counts as well.
    large = request("/vectors/upsert", {"vectors": [{"id": f"{n:03}", "values": [0.5] * 768} for n in range(100)]})
    table.add("pinecone upsert, by its size", [14], large, json_answer({"upsertedCount": 100}),
              {"kind": "not_below", "cost": format(table.cost("pinecone/standard", (
                  100 * 2 * (768 * 4 + 3) // 1000 + 1, "cost_per_write_unit")), "f")}, terms=plan)
    table.add("free: pinecone's statistics", [1], request("/describe_index_stats", None, "GET"),
              json_answer({"dimension": 8}), nothing(), terms=plan, at_most=0)
    table.add("pinecone, an index that is made", [1], request("/indexes", {"name": "x"}), None, refused("price_unknown"),
              terms=plan)
    for status, expected in ((400, nothing()), (429, nothing()), (503, nothing()), (408, unknown())):
        table.add(f"pinecone query, {status} with JSON", [17], query,
                  json_answer({"code": 3, "message": "no", "details": []}, status), expected, terms=plan)
    return table


tables = [tavily(), *by_the_call(), pinecone()]
