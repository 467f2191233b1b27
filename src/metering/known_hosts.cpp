// Which hosts are known to charge for a call, and which are known not to. Data, in two tables: a provider is
// one row.
//
// A row too many locks an agent out until an operator names the host in a route; a row too few lets a dear
// call leave for the price of a tunnel. So hosts that only serve a provider's API are listed by name, and
// whole domains only where the API has many names.

#include "known_hosts.h"

#include <algorithm>
#include <array>

namespace nomiqon::metering {
namespace {

using enum PaidHost::Match;

constexpr auto paid_hosts = std::to_array<PaidHost>({
    // Language models, at their makers.
    {below, "openai.com", "openai.com"},
    {below, "anthropic.com", "anthropic.com"},
    {exact, "generativelanguage.googleapis.com", ""},
    {exact, "api.mistral.ai", "mistral.ai"},
    {exact, "codestral.mistral.ai", "mistral.ai"},
    {exact, "api.deepseek.com", "deepseek.com"},
    {exact, "api.cohere.com", "cohere.com"},
    {exact, "api.cohere.ai", "cohere.ai"},
    {exact, "api.x.ai", "x.ai"},
    {below, "api.x.ai", "x.ai"},
    {exact, "api.perplexity.ai", "perplexity.ai"},
    {exact, "api.ai21.com", "ai21.com"},
    {exact, "api.moonshot.ai", "moonshot.ai"},
    {exact, "api.moonshot.cn", "moonshot.cn"},
    {exact, "api.minimax.io", "minimax.io"},
    {exact, "api.minimaxi.com", "minimaxi.com"},
    {exact, "api.z.ai", "z.ai"},
    {exact, "open.bigmodel.cn", "bigmodel.cn"},
    {exact, "dashscope.aliyuncs.com", ""},
    {exact, "dashscope-intl.aliyuncs.com", ""},
    {exact, "dashscope-us.aliyuncs.com", ""},
    {below, "volces.com", "volces.com"},
    {exact, "api.upstage.ai", "upstage.ai"},
    {exact, "api.writer.com", "writer.com"},
    {exact, "api.inceptionlabs.ai", "inceptionlabs.ai"},

    // Language models, at those who host them.
    {below, "openai.azure.com", "openai.azure.com"},
    {below, "openai.azure.us", "openai.azure.us"},
    {below, "cognitiveservices.azure.com", "cognitiveservices.azure.com"},
    {below, "cognitiveservices.azure.us", "cognitiveservices.azure.us"},
    {below, "services.ai.azure.com", "services.ai.azure.com"},
    {below, "models.ai.azure.com", "models.ai.azure.com"},
    {below, "inference.ai.azure.com", "inference.ai.azure.com"},
    {below, "inference.ml.azure.com", "inference.ml.azure.com"},
    // bedrock-runtime.eu-west-1.amazonaws.com, bedrock-runtime-fips.…,
    // vpce-….bedrock-runtime.….vpce.amazonaws.com.
    {label_starts, "bedrock", "amazonaws.com"},
    {label_starts, "bedrock", "amazonaws.com.cn"},
    {label_starts, "bedrock", "api.aws"},
    // aiplatform.googleapis.com, europe-west1-aiplatform.…, aiplatform.eu.rep.…,
    // …-aiplatform-….p.googleapis.com.
    {label_contains, "aiplatform", "googleapis.com"},
    {exact, "api.groq.com", "groq.com"},
    {exact, "api.together.xyz", "together.xyz"},
    {exact, "api.together.ai", "together.ai"},
    {exact, "openrouter.ai", "openrouter.ai"},
    {below, "openrouter.ai", "openrouter.ai"},
    {exact, "api.fireworks.ai", "fireworks.ai"},
    {exact, "api.cerebras.ai", "cerebras.ai"},
    {exact, "api.sambanova.ai", "sambanova.ai"},
    {exact, "api.deepinfra.com", "deepinfra.com"},
    {exact, "api.hyperbolic.xyz", "hyperbolic.xyz"},
    {exact, "api.novita.ai", "novita.ai"},
    {exact, "api.siliconflow.com", "siliconflow.com"},
    {exact, "api.siliconflow.cn", "siliconflow.cn"},
    {exact, "api.lambda.ai", "lambda.ai"},
    {exact, "api.studio.nebius.com", "nebius.com"},
    {exact, "api.studio.nebius.ai", "nebius.ai"},
    {exact, "api.tokenfactory.nebius.com", "nebius.com"},
    {below, "api.nvidia.com", "api.nvidia.com"},
    {below, "api.baseten.co", "api.baseten.co"},
    {exact, "inference.baseten.co", "baseten.co"},
    {exact, "router.huggingface.co", ""},
    {exact, "api-inference.huggingface.co", ""},
    {below, "endpoints.huggingface.cloud", "endpoints.huggingface.cloud"},
    {exact, "gateway.ai.cloudflare.com", ""},
    {exact, "ai-gateway.vercel.sh", ""},
    {exact, "models.github.ai", ""},
    {below, "githubcopilot.com", "githubcopilot.com"},
    {exact, "api.replicate.com", "replicate.com"},
    {exact, "stream.replicate.com", "replicate.com"},

    // Embeddings and vector stores.
    {below, "pinecone.io", "pinecone.io"},
    {exact, "api.voyageai.com", "voyageai.com"},
    {exact, "api.mixedbread.com", "mixedbread.com"},
    {exact, "api-atlas.nomic.ai", "nomic.ai"},

    // Search, and reading the web.
    {exact, "api.tavily.com", "tavily.com"},
    {exact, "api.search.brave.com", "search.brave.com"},
    {exact, "api.bing.microsoft.com", "bing.microsoft.com"},
    {below, "api.cognitive.microsoft.com", "api.cognitive.microsoft.com"},
    {exact, "api.cognitive.microsoft.com", "api.cognitive.microsoft.com"},
    {exact, "serpapi.com", "serpapi.com"},
    {below, "serpapi.com", "serpapi.com"},
    {below, "serper.dev", "serper.dev"},
    {exact, "customsearch.googleapis.com", ""},
    {exact, "discoveryengine.googleapis.com", ""},
    {exact, "api.exa.ai", "exa.ai"},
    {exact, "api.linkup.so", "linkup.so"},
    {exact, "api.ydc-index.io", "ydc-index.io"},
    {exact, "api.firecrawl.dev", "firecrawl.dev"},
    {below, "jina.ai", "jina.ai"},
    {exact, "api.apify.com", "apify.com"},
    {exact, "api.browserbase.com", "browserbase.com"},
    {exact, "api.scraperapi.com", "scraperapi.com"},
    {exact, "app.scrapingbee.com", "scrapingbee.com"},

    // Speech, pictures, video.
    {below, "elevenlabs.io", "elevenlabs.io"},
    {below, "deepgram.com", "deepgram.com"},
    {below, "assemblyai.com", "assemblyai.com"},
    {below, "cartesia.ai", "cartesia.ai"},
    {below, "speech.microsoft.com", "speech.microsoft.com"},
    {exact, "speech.googleapis.com", ""},
    {exact, "texttospeech.googleapis.com", ""},
    {exact, "vision.googleapis.com", ""},
    {exact, "translation.googleapis.com", ""},
    {exact, "api.stability.ai", "stability.ai"},
    {exact, "api.bfl.ai", "bfl.ai"},
    {exact, "api.bfl.ml", "bfl.ml"},
    {exact, "fal.run", "fal.run"},
    {below, "fal.run", "fal.run"},
    {exact, "api.ideogram.ai", "ideogram.ai"},
    {exact, "external.api.recraft.ai", "recraft.ai"},
    {exact, "api.dev.runwayml.com", "runwayml.com"},
    {exact, "api.lumalabs.ai", "lumalabs.ai"},
    {exact, "api.heygen.com", "heygen.com"},
    {exact, "api.d-id.com", "d-id.com"},
});

constexpr auto free_hosts = std::to_array<std::string_view>({
    // Python, JavaScript, Rust, Go, Java, Ruby, PHP, .NET.
    "pypi.org",
    "files.pythonhosted.org",
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "crates.io",
    "static.crates.io",
    "index.crates.io",
    "static.rust-lang.org",
    "proxy.golang.org",
    "sum.golang.org",
    "repo1.maven.org",
    "repo.maven.apache.org",
    "rubygems.org",
    "index.rubygems.org",
    "repo.packagist.org",
    "api.nuget.org",
    // Linux distributions.
    "deb.debian.org",
    "security.debian.org",
    "ftp.debian.org",
    "snapshot.debian.org",
    "archive.ubuntu.com",
    "security.ubuntu.com",
    "ports.ubuntu.com",
    "dl-cdn.alpinelinux.org",
    // GitHub: pages, API, archives, raw files, release files, LFS, packages.
    "github.com",
    "api.github.com",
    "uploads.github.com",
    "codeload.github.com",
    "gist.github.com",
    "raw.githubusercontent.com",
    "gist.githubusercontent.com",
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
    "media.githubusercontent.com",
    "github-cloud.githubusercontent.com",
    "avatars.githubusercontent.com",
    "ghcr.io",
    "pkg-containers.githubusercontent.com",
});

/// Whether a label of `name`, before `domain`, looks as the row says.
bool has_label(std::string_view name, const PaidHost& row) {
    if (!is_below(name, row.domain)) return false;
    name.remove_suffix(row.domain.size() + 1);
    while (true) {
        const auto label = name.substr(0, name.find('.'));
        if (row.match == label_starts ? label.starts_with(row.name) : label.contains(row.name)) return true;
        if (label.size() == name.size()) return false;
        name.remove_prefix(label.size() + 1);
    }
}

bool row_matches(std::string_view name, const PaidHost& row) {
    switch (row.match) {
        case exact:
            return name == row.name;
        case below:
            return is_below(name, row.name);
        case label_starts:
        case label_contains:
            return has_label(name, row);
    }
    return false;
}

}  // namespace

const PaidHost* find_paid_host(const HostName& host) {
    if (host.is_ip_literal()) return nullptr;
    const auto found =
        std::ranges::find_if(paid_hosts, [&](const PaidHost& row) { return row_matches(host.str(), row); });
    return found == paid_hosts.end() ? nullptr : &*found;
}

bool names_paid_host(const HostPattern& route, const PaidHost& row) {
    if (route.kind != HostPattern::Kind::below) return route.kind == HostPattern::Kind::exact;
    // Below a name that is paid itself (a private endpoint's, say) everything is the provider's.
    if (row_matches(route.host, row)) return true;
    if (row.match == label_starts || row.match == label_contains || row.domain.empty()) return false;
    return route.host == row.domain || is_below(route.host, row.domain);
}

bool is_known_free_host(const HostName& host) {
    return std::ranges::find(free_hosts, std::string_view(host.str())) != free_hosts.end();
}

}  // namespace nomiqon::metering
