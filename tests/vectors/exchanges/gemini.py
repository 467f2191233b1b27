"""Google's Gemini API: https://ai.google.dev/api/generate-content."""

from parts import (CODINGS, Table, alarm, answer, charge, data_event, dumps, in_full, json_answer, nothing, refused,
                   request, sse, unknown)

BOOK = {
    "gemini/gemini-2.5-flash": {
        "litellm_provider": "gemini", "mode": "chat", "max_input_tokens": 1048576, "max_output_tokens": 65536,
        "supports_vision": True, "supports_audio_input": True, "supports_video_input": True,
        "input_cost_per_token": 3e-07, "input_cost_per_audio_token": 1e-06, "output_cost_per_token": 2.5e-06,
        "output_cost_per_reasoning_token": 3.5e-06, "cache_read_input_token_cost": 3e-08,
        "cache_read_input_audio_token_cost": 1e-07},
    "gemini/gemini-2.5-pro": {
        "litellm_provider": "gemini", "mode": "chat", "max_input_tokens": 1048576, "max_output_tokens": 65536,
        "supports_vision": True, "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-07, "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "output_cost_per_token_above_200k_tokens": 1.5e-05, "cache_read_input_token_cost_above_200k_tokens": 2.5e-07},
    "gemini/gemini-embedding-001": {"litellm_provider": "gemini", "mode": "embedding", "max_input_tokens": 2048,
                                    "input_cost_per_token": 1.5e-07},
}
FLASH, PRO = "gemini/gemini-2.5-flash", "gemini/gemini-2.5-pro"
table = Table("gemini", BOOK)
KEY = [["x-goog-api-key", "from-the-agent"]]


def path(action, model="gemini-2.5-flash"):
    return f"/v1beta/models/{model}:{action}"


def ask(action="generateContent", model="gemini-2.5-flash", query="", parts=None, config=None, **members):
    document = {"contents": [{"role": "user", "parts": parts or [{"text": "Erkläre 空."}]}],
                "generationConfig": {"maxOutputTokens": 800} if config is None else config, **members}
    return request(path(action, model), document, query=query, headers=KEY)


def stream_ask(**options):
    return ask("streamGenerateContent", query="alt=sse", **options)


def usage(prompt, written, thoughts=None, tools=None, cached=None, kinds=None, **more):
    total = prompt + written + (thoughts or 0) + (tools or 0)
    document = {"promptTokenCount": prompt, "cachedContentTokenCount": cached, "candidatesTokenCount": written,
                "toolUsePromptTokenCount": tools, "totalTokenCount": total,
                "promptTokensDetails": kinds or [{"modality": "TEXT", "tokenCount": prompt}],
                "thoughtsTokenCount": thoughts, **more}
    return {name: value for name, value in document.items() if value is not None}


def chunk(used=None, text=None, finish=None, model="gemini-2.5-flash", **more):
    candidate = {"index": 0, **more}
    if text is not None:
        candidate["content"] = {"parts": [{"text": text}], "role": "model"}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **({"usageMetadata": used} if used is not None else {}), "modelVersion": model,
            "responseId": "kXkjaZ"}


def stream():
    return [chunk(usage(8, 0, 120), "Der "), chunk(usage(8, 3, 120), "Himmel, "), chunk(usage(8, 5, 120), "空"),
            chunk(usage(8, 31, 120), ".", "STOP")]


EXACT = table.cost(FLASH, (8, "input_cost_per_token"), (31, "output_cost_per_token"),
                   (120, "output_cost_per_reasoning_token"))
LEAST = table.cost(FLASH, (800, "output_cost_per_reasoning_token"))


def plain(read, written, **options):
    return table.cost(FLASH, (read, "input_cost_per_token"), (written, "output_cost_per_token"), **options)


def documents():
    full = chunk(usage(8, 31, 120), "Der Himmel, 空.", "STOP")
    for coding in CODINGS:
        table.add(f"generate, JSON, {coding}", [15], ask(), json_answer(full, coding=coding),
                  charge(EXACT, "gemini-2.5-flash"), at_least=LEAST)
    table.add("generate, JSON, cut", [17], ask(), json_answer(full, cut_at=60), unknown())
    table.add("generate, JSON, the key in the query", [5, 15], ask(query="key=from-the-agent"), json_answer(full),
              charge(EXACT, "gemini-2.5-flash"))
    table.add("generate, JSON, snake forms", [6, 15], request(path("generateContent"), {
        "contents": [{"parts": [{"text": "x"}]}], "generation_config": {"max_output_tokens": 800}}), json_answer(full),
        charge(EXACT, "gemini-2.5-flash"), at_least=LEAST)
    table.add("generate, both forms of a member", [6], request(path("generateContent"), {
        "contents": [], "generationConfig": {"maxOutputTokens": 8}, "generation_config": {"max_output_tokens": 900}}),
        None, refused("bad_request"))
    cached = [{"modality": "TEXT", "tokenCount": 5000}]
    table.add("generate, JSON, from a cache that was made before", [9, 15], ask(cachedContent="cachedContents/a1"),
              json_answer(chunk(usage(5000, 10, cached=4500, kinds=cached), "x", "STOP")), charge(table.cost(
                  FLASH, (500, "input_cost_per_token"), (4500, "cache_read_input_token_cost"),
                  (10, "output_cost_per_token")), "gemini-2.5-flash"),
              at_least=table.cost(FLASH, (1048576, "input_cost_per_token")))
    kinds = [{"modality": "TEXT", "tokenCount": 100}, {"modality": "AUDIO", "tokenCount": 320},
             {"modality": "IMAGE", "tokenCount": 258}, {"modality": "VIDEO", "tokenCount": 526}]
    media = [{"text": "What?"}, {"fileData": {"mimeType": "video/mp4", "fileUri": "https://a.example/files/x"}}]
    table.add("generate, JSON, all kinds of media", [9, 15], ask(parts=media),
              json_answer(chunk(usage(1204, 10, kinds=kinds), "x", "STOP")), charge(table.cost(
                  FLASH, (100 + 258 + 526, "input_cost_per_token"), (320, "input_cost_per_audio_token"),
                  (10, "output_cost_per_token")), "gemini-2.5-flash"),
              at_least=table.cost(FLASH, (1048576, "input_cost_per_audio_token")))
    table.add("generate, JSON, audio from a cache", [9, 15], ask(cachedContent="cachedContents/a1"), json_answer(chunk(
        usage(400, 10, cached=350, kinds=[{"modality": "TEXT", "tokenCount": 80}, {"modality": "AUDIO", "tokenCount": 320}],
              cacheTokensDetails=[{"modality": "TEXT", "tokenCount": 50}, {"modality": "AUDIO", "tokenCount": 300}]),
        "x", "STOP")), charge(table.cost(
            FLASH, (30, "input_cost_per_token"), (20, "input_cost_per_audio_token"), (50, "cache_read_input_token_cost"),
            (300, "cache_read_input_audio_token_cost"), (10, "output_cost_per_token")), "gemini-2.5-flash"))
    for read, suffix in ((200_000, ""), (200_001, "_above_200k_tokens")):
        table.add(f"generate, JSON, {read} tokens read", [11, 15], ask(model="gemini-2.5-pro", parts=media),
                  json_answer(chunk(usage(read, 10), "x", "STOP", "gemini-2.5-pro")), charge(table.cost(
                      PRO, (read, f"input_cost_per_token{suffix}"), (10, f"output_cost_per_token{suffix}")),
                      "gemini-2.5-pro"))
    table.add("generate, JSON, what tools read counts", [15], ask(model="gemini-2.5-pro", parts=media),
              json_answer(chunk(usage(100, 10, 50, tools=2000), "x", "STOP", "gemini-2.5-pro")), charge(table.cost(
                  PRO, (2100, "input_cost_per_token"), (60, "output_cost_per_token")), "gemini-2.5-pro"))
    more = {**usage(8, 31), "totalTokenCount": 8 + 31 + 40}
    table.add("generate, JSON, the total knows of tokens that the parts don't", [15], ask(),
              json_answer(chunk(more, "x", "STOP")), charge(plain(8, 71), "gemini-2.5-flash"))
    table.add("generate, JSON, two candidates", [10, 15], ask(config={"maxOutputTokens": 100, "candidateCount": 2}),
              json_answer({**chunk(usage(8, 60), "x", "STOP"), "candidates": [
                  {"content": {"parts": [{"text": t}], "role": "model"}, "finishReason": "STOP", "index": n}
                  for n, t in enumerate("ab")]}), charge(plain(8, 60), "gemini-2.5-flash"),
              at_least=table.cost(FLASH, (200, "output_cost_per_reasoning_token")))
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "gemini-2.5-flash",
               "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}
    table.add("generate, JSON, a blocked prompt", [16], ask(), json_answer(blocked),
              charge(plain(9, 0), "gemini-2.5-flash"))
    table.add("generate, JSON, content and no usage", [16], ask(), json_answer(chunk(None, "x", "STOP")),
              in_full("gemini-2.5-flash"))
    table.add("generate, JSON, zeros beside content", [16], ask(), json_answer(chunk(usage(0, 0), "x", "STOP")),
              in_full("gemini-2.5-flash"))
    for what, wrong in {"a text": "x", "a counter that is a text": {**usage(8, 31), "promptTokenCount": "8"},
                        "a negative counter": {**usage(8, 31), "thoughtsTokenCount": -120},
                        "a counter beyond any sense": {**usage(8, 31), "candidatesTokenCount": 10**14},
                        "a counter that nobody knows": {**usage(8, 31), "dreamsTokenCount": 4},
                        "a modality that nobody knows": {**usage(8, 31), "promptTokensDetails": [
                            {"modality": "SMELL", "tokenCount": 8}]}}.items():
        table.add(f"generate, JSON, usage has {what}", [15], ask(), json_answer(chunk(wrong, "x", "STOP")),
                  alarm(model="gemini-2.5-flash"))
    table.add("generate, JSON, another model answered", [15], ask(), json_answer(
        chunk(usage(8, 31), "x", "STOP", "gemini-9")), alarm(model="gemini-9"))
    table.add("generate, JSON, a search with the route's terms", [12, 15], ask(tools=[{"googleSearch": {}}]),
              json_answer(chunk(usage(8, 31, tools=100), "x", "STOP", groundingMetadata={
                  "webSearchQueries": ["a", "b"], "groundingChunks": []})),
              charge(plain(108, 31, extra="0.035"), "gemini-2.5-flash"),
              terms={"tools": {"google_search": {"fee": "0.035", "max_calls": 3, "tokens_per_call": 2000}}})
    table.add("generate, a search without terms", [12], ask(tools=[{"googleSearch": {}}]), None, refused("price_unknown"))


def streams():
    full = list(map(data_event, stream()))
    crlf = [event.replace(b"\n", b"\r\n") for event in full]
    last = len(full)
    final = charge(EXACT, "gemini-2.5-flash")
    for coding in CODINGS:
        table.add(f"generate, stream, {coding}", [15], stream_ask(), sse(full, coding=coding), final, at_least=LEAST)
        table.add(f"generate, stream, {coding}, cut before its last chunk", [17], stream_ask(),
                  sse(full, coding=coding, keep=last - 1), unknown("gemini-2.5-flash"))
        table.add(f"generate, stream, {coding}, broken behind its last chunk", [15, 17], stream_ask(),
                  sse([*full, b": bye\n\n"], coding=coding, keep=last), final)
    table.add("generate, stream, cut before anything", [17], stream_ask(), sse(full, keep=0), unknown())
    table.add("generate, stream, cut in a chunk", [17], stream_ask(), sse(full, keep=1, keep_bytes=60),
              unknown("gemini-2.5-flash"))
    table.add("generate, stream, lines end in CR LF", [15], stream_ask(), sse(crlf), final)
    array = dumps(stream()).replace(b"},{\"candidates", b"}\n,\r\n{\"candidates")
    table.add("generate, stream, as a JSON array", [15], ask("streamGenerateContent"), json_answer(array), final)
    table.add("generate, stream, as a JSON array, gzip", [15], ask("streamGenerateContent"),
              json_answer(array, coding="gzip"), final)
    table.add("generate, stream, as a JSON array, cut", [17], ask("streamGenerateContent"),
              json_answer(array, cut_at=len(array) // 2), unknown("gemini-2.5-flash"))
    failure = data_event({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})
    table.add("generate, stream, an error before anything", [17], stream_ask(), sse([failure]), nothing())
    bare = [data_event(chunk(None, "Der ")), failure]
    table.add("generate, stream, an error after content", [17], stream_ask(), sse(bare), in_full("gemini-2.5-flash"))
    table.add("generate, stream, no usage", [16], stream_ask(), sse([data_event(chunk(None, "Der ", "STOP"))]),
              in_full("gemini-2.5-flash"))
    call = chunk(usage(60, 18), None, "STOP", content={"parts": [{"functionCall": {"name": "f", "args": {"a": "ü"}}}],
                                                       "role": "model"})
    table.add("generate, stream, a function call", [9, 15], stream_ask(tools=[{"functionDeclarations": [
        {"name": "f", "parameters": {"type": "OBJECT"}}]}]), sse([data_event(call)]),
        charge(plain(60, 18), "gemini-2.5-flash"))


def others():
    asked = request(path("embedContent", "gemini-embedding-001"), {"content": {"parts": [{"text": "Fuß"}]}})
    values = {"embedding": {"values": [0.01, -0.02] * 300}}
    table.add("embed, no usage", [16], asked, json_answer(values), in_full())
    table.add("embed, with usage", [15], asked, json_answer({**values, "usageMetadata": {"promptTokenCount": 3}}),
              charge(table.cost("gemini/gemini-embedding-001", (3, "input_cost_per_token"))))
    table.add("free: countTokens", [1], request(path("countTokens"), {"contents": []}), json_answer({"totalTokens": 3}),
              nothing(), at_most=0)
    table.add("free: the models", [1], request("/v1beta/models", None, "GET", query="pageSize=5"),
              json_answer({"models": []}), nothing(), at_most=0)
    for name, code, asked in (
            ("a cache that is made", "price_unknown", request("/v1beta/cachedContents", {"model": "x"})),
            ("a batch", "price_unknown", request(path("batchGenerateContent"), {})),
            ("a model that the book doesn't have", "price_unknown", ask(model="gemini-2.5-flash-001")),
            ("an escaped action", "price_unknown", request("/v1beta/models/gemini-2.5-flash%3AgenerateContent", {})),
            ("an answer without its use", "bad_request", ask(query="fields=candidates")),
            ("another method in the query", "bad_request", ask(query="$httpMethod=GET"))):
        table.add(f"refused: {name}", [6 if code == "bad_request" else 1], asked, None, refused(code))
    failure = {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}
    for status, expected in ((400, nothing()), (403, nothing()), (429, nothing()), (500, nothing()), (503, nothing()),
                             (408, unknown()), (499, unknown())):
        table.add(f"generate, {status} with JSON", [17], ask(), json_answer(failure, status), expected)
    table.add("generate, 502 without JSON", [17], ask(), answer(502, [b"<html>"], "text/html"), unknown())


documents()
streams()
others()
