"""Hosts that speak OpenAI's API in dialects of their own."""

from parts import (Table, alarm, charge, data_event, dumps, in_full, json_answer, nano, nothing, refused, request, sse,
                   unknown)

BOOK = {
    "mistral/mistral-small-latest": {
        "litellm_provider": "mistral", "mode": "chat", "max_input_tokens": 131072, "max_output_tokens": 131072,
        "input_cost_per_token": 1.01e-07, "output_cost_per_token": 3.03e-07, "cache_read_input_token_cost": 1.1e-08},
    "groq/llama-3.3-70b-versatile": {
        "litellm_provider": "groq", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 32768,
        "input_cost_per_token": 5.9e-07, "output_cost_per_token": 7.9e-07},
    "groq/openai/gpt-oss-120b": {
        "litellm_provider": "groq", "mode": "chat", "max_input_tokens": 131072, "max_output_tokens": 65536,
        "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07, "cache_read_input_token_cost": 7.5e-08},
    "deepseek/deepseek-chat": {
        "litellm_provider": "deepseek", "mode": "chat", "max_input_tokens": 131072, "max_output_tokens": 8192,
        "input_cost_per_token": 2.8e-07, "input_cost_per_token_cache_hit": 2.8e-08, "output_cost_per_token": 4.2e-07},
    "deepseek/deepseek-reasoner": {
        "litellm_provider": "deepseek", "mode": "chat", "max_input_tokens": 131072, "max_output_tokens": 65536,
        "input_cost_per_token": 2.8e-07, "input_cost_per_token_cache_hit": 2.8e-08, "output_cost_per_token": 4.2e-07},
    "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo": {
        "litellm_provider": "together_ai", "mode": "chat", "max_input_tokens": 131072, "max_output_tokens": 131072,
        "input_cost_per_token": 8.8e-07, "output_cost_per_token": 8.8e-07},
    "openrouter/openai/gpt-4o": {
        "litellm_provider": "openrouter", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
        "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05},
    "openrouter/anthropic/claude-sonnet-4.5": {
        "litellm_provider": "openrouter", "mode": "chat", "max_input_tokens": 1000000, "max_output_tokens": 64000,
        "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05},
    "azure/gpt-4o": {
        "litellm_provider": "azure", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
        "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06},
}
DONE = b"data: [DONE]\n\n"
WORDS = ("Bon", "jour ", "世界", "😀")


def ask(path, model, query="", **members):
    return request(path, {"model": model, "messages": [{"role": "user", "content": "Bonjour ?"}], "max_tokens": 300,
                          **members}, query=query)


def usage(read, written, **more):
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **more}


def completion(model, used, content="Bonjour 世界 😀", **members):
    return {"id": "cmpl-e5cc70", "object": "chat.completion", "created": 1763999999, "model": model, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": content, "tool_calls": None}, "finish_reason": "stop"}],
        **({"usage": used} if used is not None else {}), **members}


def chunk(model, delta, finish=None, **members):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return data_event({"id": "cmpl-e5cc70", "object": "chat.completion.chunk", "created": 1763999999, "model": model,
                       "choices": choices, **members})


def words(model):
    return [chunk(model, {"role": "assistant", "content": ""}),
            *(chunk(model, {"content": word}) for word in WORDS)]


def last_chunk_dialect(meter, path, model, key, used, exact, ending=None, **stream_options):
    """JSON, a stream whose last choice has the usage, and both of them cut."""
    table = Table(meter, BOOK)
    ending = ending or [chunk(model, {"content": ""}, "stop", usage=used), DONE]
    full = [*words(model), *ending]
    asked = ask(path, model)
    streamed = ask(path, model, stream=True)
    for coding in ("identity", "gzip", "br"):
        table.add(f"{meter}, JSON, {coding}", [15], asked, json_answer(completion(model, used), coding=coding),
                  charge(exact, model), at_least=table.cost(key, (300, "output_cost_per_token")))
    table.add(f"{meter}, JSON, cut", [17], asked, json_answer(completion(model, used), cut_at=70), unknown())
    table.add(f"{meter}, JSON, no usage", [16], asked, json_answer(completion(model, None)), in_full(model))
    table.add(f"{meter}, stream", [15], streamed, sse(full), charge(exact, model), **stream_options)
    table.add(f"{meter}, stream, cut in the content", [17], streamed, sse(full, keep=3), unknown(model),
              **stream_options)
    table.add(f"{meter}, stream, cut before its [DONE]", [15, 17], streamed, sse(full, keep=len(full) - 1),
              charge(exact, model), **stream_options)
    table.add(f"{meter}, stream, no usage", [16], streamed, sse([*words(model), chunk(model, {}, "stop"), DONE]),
              in_full(model), **{key: value for key, value in stream_options.items() if key != "hidden"},
              **({"hidden": b""} if "hidden" in stream_options else {}))
    table.add(f"{meter}, 429 with JSON", [17], asked, json_answer({"message": "slow down", "type": "rate_limit"}, 429),
              nothing())
    return table


def mistral():
    key, model = "mistral/mistral-small-latest", "mistral-small-latest"
    used = usage(205, 31, num_cached_tokens=128, prompt_tokens_details={"cached_tokens": 128}, prompt_audio_seconds=None)
    table = last_chunk_dialect("mistral", "/v1/chat/completions", model, key, used, Table("mistral", BOOK).cost(
        key, (77, "input_cost_per_token"), (128, "cache_read_input_token_cost"), (31, "output_cost_per_token")))
    table.add("mistral, an agent of the provider's", [1], ask("/v1/agents/completions", model), None,
              refused("price_unknown"))
    return table


def groq():
    key, model = "groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile"
    used = usage(43, 60, queue_time=0.018, prompt_time=0.0023, completion_time=0.21, total_time=0.22)
    exact = Table("groq", BOOK).cost(key, (43, "input_cost_per_token"), (60, "output_cost_per_token"))
    ending = [chunk(model, {}, "stop", x_groq={"id": "req_01", "usage": used}), DONE]
    table = last_chunk_dialect("groq", "/openai/v1/chat/completions", model, key, used, exact, ending)
    cached = usage(4641, 1817, prompt_tokens_details={"cached_tokens": 4608},
                   completion_tokens_details={"reasoning_tokens": 1200}, queue_time=0.1)
    oss = "groq/openai/gpt-oss-120b"
    table.add("groq, JSON, from its cache", [15], ask("/openai/v1/chat/completions", "openai/gpt-oss-120b"),
              json_answer(completion("openai/gpt-oss-120b", cached, service_tier="on_demand")), charge(table.cost(
                  oss, (33, "input_cost_per_token"), (4608, "cache_read_input_token_cost"),
                  (1817, "output_cost_per_token")), "openai/gpt-oss-120b"), overrun=True)
    table.add("groq, stream, an error in x_groq", [17], ask("/openai/v1/chat/completions", model, stream=True),
              sse([chunk(model, None, x_groq={"id": "req_01", "error": "over capacity"})]), nothing(model))
    return table


def deepseek():
    key, model = "deepseek/deepseek-chat", "deepseek-chat"
    used = usage(540, 72, prompt_cache_hit_tokens=512, prompt_cache_miss_tokens=28,
                 prompt_tokens_details={"cached_tokens": 512})
    exact = Table("deepseek", BOOK).cost(key, (28, "input_cost_per_token"), (512, "input_cost_per_token_cache_hit"),
                                         (72, "output_cost_per_token"))
    usage_event = chunk(model, None, usage=used)
    table = last_chunk_dialect("deepseek", "/chat/completions", model, key, used, exact,
                               [chunk(model, {"content": ""}, "stop"), usage_event, DONE], hidden=usage_event)
    thought = usage(20, 900, completion_tokens_details={"reasoning_tokens": 700}, prompt_cache_hit_tokens=0,
                    prompt_cache_miss_tokens=20)
    table.add("deepseek, stream, reasoning and keep-alives", [10, 15],
              ask("/chat/completions", "deepseek-reasoner", stream=True, stream_options={"include_usage": True},
                  max_tokens=1000),
              sse([b": keep-alive\n\n"] * 3 + [chunk("deepseek-reasoner", {"role": "assistant", "content": None,
                                                                           "reasoning_content": "Hm"}),
                                               chunk("deepseek-reasoner", {"content": "42"}, "stop"),
                                               chunk("deepseek-reasoner", None, usage=thought), DONE]),
              charge(table.cost("deepseek/deepseek-reasoner", (20, "input_cost_per_token"),
                                (900, "output_cost_per_token")), "deepseek-reasoner"))
    table.add("deepseek, JSON, blank lines before it", [15], ask("/chat/completions", model),
              json_answer(b"\n\n\n" + dumps(completion(model, used))), charge(exact, model))
    return table


def together():
    model = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    key = f"together_ai/{model}"
    used = usage(31, 45, cached_tokens=0)
    return last_chunk_dialect("together", "/v1/chat/completions", model, key, used, Table("together", BOOK).cost(
        key, (31, "input_cost_per_token"), (45, "output_cost_per_token")), sent={
            "stream_options": {"include_usage": True}}, hidden=b"")


def openrouter():
    table = Table("openrouter", BOOK)
    path, model = "/api/v1/chat/completions", "openai/gpt-4o"
    asked, streamed = ask(path, model), ask(path, model, stream=True)
    used = usage(194, 20, cost=0.0006851234567, cost_details={"upstream_inference_cost": None}, is_byok=False,
                 prompt_tokens_details={"cached_tokens": 0}, completion_tokens_details={"reasoning_tokens": 0})
    stated = nano("0.0006851234567")
    full = [b": OPENROUTER PROCESSING\n\n", *words(model), chunk(model, {"content": ""}, "stop"),
            chunk(model, {"role": "assistant", "content": ""}, None, usage=used), DONE]
    table.add("openrouter, JSON, its own cost counts", [15], asked, json_answer(completion(model, used)),
              charge(stated, model), sent={"usage": {"include": True}})
    table.add("openrouter, stream, its own cost counts", [15], streamed, sse(full), charge(stated, model))
    table.add("openrouter, stream, cut in the content", [17], streamed, sse(full, keep=4), unknown(model))
    own_key = {**used, "cost": 0.00003, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0006}}
    table.add("openrouter, JSON, the caller's own key", [15], asked, json_answer(completion(model, own_key)),
              charge(nano("0.00063"), model))
    table.add("openrouter, JSON, a cost of 0 beside content", [15, 16], asked,
              json_answer(completion(model, {**used, "cost": 0})), in_full(model))
    computed = table.cost("openrouter/openai/gpt-4o", (194, "input_cost_per_token"), (20, "output_cost_per_token"))
    bare = {name: value for name, value in used.items() if "cost" not in name}
    table.add("openrouter, JSON, no cost told", [15], asked, json_answer(completion(model, bare)), charge(computed, model))
    table.add("openrouter, JSON, a negative cost", [15], asked, json_answer(completion(model, {**used, "cost": -1})),
              alarm(computed, model))
    table.add("openrouter, JSON, a cost that is a text", [15], asked, json_answer(completion(model, {**used, "cost": "1"})),
              alarm(computed, model))
    table.add("openrouter, of two models the dearer bounds", [8], ask(
        path, model, models=["anthropic/claude-sonnet-4.5"]), json_answer(completion("anthropic/claude-sonnet-4.5", {
            **used, "cost": 0.004})), charge(nano("0.004"), "anthropic/claude-sonnet-4.5"),
        at_least=table.cost("openrouter/anthropic/claude-sonnet-4.5", (300, "output_cost_per_token")))
    for name, members in (("auto", {"model": "openrouter/auto"}), ("a search", {"model": "openai/gpt-4o:online"}),
                          ("a plugin", {"plugins": [{"id": "web"}]}), ("a preset", {"preset": "mine"})):
        table.add(f"openrouter, {name}", [8], ask(path, **{"model": model, **members}), None, refused("price_unknown"))
    failure = data_event({"id": "gen-1", "object": "chat.completion.chunk", "model": model,
                          "error": {"code": 502, "message": "Provider disconnected"},
                          "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]})
    table.add("openrouter, stream, an error after content", [17], streamed, sse([*full[:3], failure, DONE]), in_full(model))
    table.add("openrouter, stream, an error before content", [17], streamed, sse([full[0], failure, DONE]), nothing(model))
    return table


def azure():
    table = Table("azure", BOOK)
    path = "/openai/deployments/our-gpt/chat/completions"
    query = "api-version=2024-10-21"
    terms = {"deployments": {"our-gpt": "gpt-4o"}}
    named, dated = "gpt-4o", "gpt-4o-2024-11-20"
    key = "azure/gpt-4o"
    used = usage(1500, 40, prompt_tokens_details={"cached_tokens": 1024, "audio_tokens": 0})
    exact = table.cost(key, (476, "input_cost_per_token"), (1024, "cache_read_input_token_cost"),
                       (40, "output_cost_per_token"))
    body = {"messages": [{"role": "user", "content": "Bonjour ?" * 200}], "max_tokens": 300}
    asked = request(path, body, query=query)
    filtered = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    table.add("azure, JSON, the deployment is the model", [8, 15], asked,
              json_answer(completion(dated, used, **filtered)), charge(exact, dated), terms=terms)
    first = data_event({"choices": [], "created": 0, "id": "", "model": "", "object": "", **filtered})
    last = chunk(dated, None, usage=used)
    full = [first, *words(dated), chunk(dated, {}, "stop"), last, DONE]
    streamed = request(path, {**body, "stream": True}, query=query)
    table.add("azure, stream, the usage is asked for and hidden", [8, 15], streamed, sse(full), charge(exact, dated),
              terms=terms, hidden=last, sent={"stream_options": {"include_usage": True}})
    table.add("azure, stream, cut in the content", [17], streamed, sse(full, keep=3), unknown(dated), terms=terms,
              hidden=b"")
    table.add("azure, a model in the body that is the deployment", [8], request(path, {**body, "model": "our-gpt"},
                                                                                query=query),
              json_answer(completion(dated, used)), charge(exact, dated), terms=terms)
    table.add("azure, another model in the body", [8], request(path, {**body, "model": "gpt-4.1"}, query=query), None,
              refused("bad_request"), terms=terms)
    table.add("azure, a deployment that nobody named", [8], request(path.replace("our", "their"), body, query=query),
              None, refused("price_unknown"), terms=terms)
    table.add("azure, no deployments named", [8], asked, None, refused("price_unknown"))
    table.add("azure, a search in data of the provider's", [9], request(path, {**body, "data_sources": [
        {"type": "azure_search"}]}, query=query), None, refused("price_unknown"), terms=terms)
    table.add("azure, the second form of its path", [8, 15], request("/openai/v1/chat/completions", {
        **body, "model": "our-gpt"}), json_answer(completion(named, used)), charge(exact, named), terms=terms)
    return table


tables = [mistral(), groq(), deepseek(), together(), openrouter(), azure()]
