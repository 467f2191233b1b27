"""OpenAI chat completions: https://platform.openai.com/docs/api-reference/chat."""

from parts import (CODINGS, Table, alarm, charge, data_event, dumps, in_full, json_answer, nothing, refused, request,
                   sse, unknown)

SEARCHES = {f"search_context_size_{size}": 0.01 for size in ("low", "medium", "high")}
BOOK = {
    "gpt-5": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 272000, "max_output_tokens": 128000,
        "supports_vision": True, "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-07, "input_cost_per_token_flex": 6.25e-07,
        "output_cost_per_token_flex": 5e-06, "cache_read_input_token_cost_flex": 6.25e-08,
        "input_cost_per_token_priority": 2.5e-06, "output_cost_per_token_priority": 2e-05,
        "cache_read_input_token_cost_priority": 2.5e-07, "search_context_cost_per_query": SEARCHES},
    "gpt-4o-mini": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
        "supports_vision": True, "input_cost_per_token": 1.503e-07, "output_cost_per_token": 6.01e-07,
        "cache_read_input_token_cost": 7.51e-08},
    "gpt-5.6": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 922000, "max_output_tokens": 128000,
        "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 2.5e-07,
        "cache_creation_input_token_cost": 3.125e-06, "input_cost_per_token_above_272k_tokens": 5e-06,
        "output_cost_per_token_above_272k_tokens": 2.25e-05, "cache_read_input_token_cost_above_272k_tokens": 5e-07,
        "cache_creation_input_token_cost_above_272k_tokens": 6.25e-06},
    "gpt-4o-audio-preview": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
        "supports_audio_input": True, "supports_audio_output": True, "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05, "input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": 8e-05},
    "gpt-4.1": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 1047576, "max_output_tokens": 32768,
        "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06, "cache_read_input_token_cost": 5e-07},
    "ft:gpt-4.1": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 1047576, "max_output_tokens": 32768,
        "input_cost_per_token": 3e-06, "output_cost_per_token": 1.2e-05, "cache_read_input_token_cost": 7.5e-07},
    "gpt-no-price": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 1000, "max_output_tokens": 1000,
                     "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "o-with-surcharge": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 1000,
                         "max_output_tokens": 1000, "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
                         "surcharge_on_tuesdays": 0.5},
}
PATH = "/v1/chat/completions"
DATED = "gpt-5-2025-08-07"
table = Table("openai", BOOK)


def ask(**members):
    return {"model": "gpt-5", "messages": [{"role": "user", "content": "Say grüß Gott in 日本語 and 😀."}],
            "max_completion_tokens": 500, **members}


def usage(read, written, cached=0, reasoning=0, **more):
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}, **more}


def completion(used, content="Grüß Gott — こんにちは 😀", choices=1, **members):
    made = [{"index": i, "message": {"role": "assistant", "content": content, "refusal": None, "annotations": []},
             "logprobs": None, "finish_reason": "stop"} for i in range(choices)]
    document = {"id": "chatcmpl-CkVx5", "object": "chat.completion", "created": 1763999999, "model": DATED,
                "choices": made, "usage": used, "service_tier": "default", "system_fingerprint": None, **members}
    return {name: value for name, value in document.items() if value != "absent"}


def chunk(delta=None, finish=None, **members):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return data_event({"id": "chatcmpl-CkVx5", "object": "chat.completion.chunk", "created": 1763999999, "model": DATED,
                       "service_tier": "default", "system_fingerprint": None, "choices": choices, **members})


WORDS = ("Grüß ", "Gott, ", "日本", "語 ", "😀")
DONE = b"data: [DONE]\n\n"


def stream(used, words=WORDS):
    """Role, words, finish, usage, [DONE]: the usage is the last but one."""
    events = [chunk({"role": "assistant", "content": "", "refusal": None}, usage=None)]
    events += [chunk({"content": word}, usage=None) for word in words]
    events += [chunk({}, "stop", usage=None)]
    if used is not None:
        events += [chunk(usage=used)]
    return [*events, DONE]


ASKS_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
READ, WRITTEN, CACHED = 1037, 211, 1024
USED = usage(READ, WRITTEN, CACHED, reasoning=128)
EXACT = table.cost("gpt-5", (READ - CACHED, "input_cost_per_token"), (CACHED, "cache_read_input_token_cost"),
                   (WRITTEN, "output_cost_per_token"))
# 500 tokens at the dearest tier that an absent service_tier may come to; and W beside them.
LEAST = table.cost("gpt-5", (500, "output_cost_per_token_priority"))
MOST = table.cost("gpt-5", (272000, "input_cost_per_token_priority"), (500, "output_cost_per_token_priority"))
BOUND = {"at_least": LEAST, "at_most": MOST}


def documents():
    for coding in CODINGS:
        table.add(f"chat, JSON, {coding}", [15], request(PATH, ask()), json_answer(completion(USED), coding=coding),
                  charge(EXACT, DATED), **BOUND)
        table.add(f"chat, JSON, {coding}, cut in the content", [17], request(PATH, ask()),
                  json_answer(completion(USED), coding=coding, cut_at=90), unknown(), **BOUND)
    table.add("chat, JSON, cut before its first byte", [17], request(PATH, ask()),
              json_answer(completion(USED), cut_at=0), unknown())
    # The usage has come, but nobody can know whether all of it.
    table.add("chat, JSON, cut inside the usage", [17], request(PATH, ask()),
              json_answer(completion(USED), cut_at=len(dumps(completion(USED))) - 150), unknown())
    table.add("chat, JSON as text/html", [15], request(PATH, ask()),
              json_answer(completion(USED), content_type="text/html"), charge(EXACT, DATED))
    for request_coding in CODINGS[1:]:
        table.add(f"chat, JSON, request in {request_coding}", [7], request(PATH, ask(), coding=request_coding),
                  json_answer(completion(USED)), charge(EXACT, DATED), **BOUND)


def tiers():
    for tier, suffix in (("flex", "_flex"), ("priority", "_priority"), ("default", "")):
        amount = table.cost("gpt-5", (READ - CACHED, f"input_cost_per_token{suffix}"),
                            (CACHED, f"cache_read_input_token_cost{suffix}"), (WRITTEN, f"output_cost_per_token{suffix}"))
        table.add(f"chat, JSON, asked and served at {tier}", [11, 15], request(PATH, ask(service_tier=tier)),
                  json_answer(completion(USED, service_tier=tier)), charge(amount, DATED),
                  at_least=table.cost("gpt-5", (500, f"output_cost_per_token{suffix}")))
        table.add(f"chat, JSON, no tier asked, served at {tier}", [11, 15], request(PATH, ask()),
                  json_answer(completion(USED, service_tier=tier)), charge(amount, DATED), **BOUND)
    table.add("chat, JSON, auto asked, no tier told", [11, 15], request(PATH, ask(service_tier="auto")),
              json_answer(completion(USED, service_tier="absent")), charge(EXACT, DATED), **BOUND)
    table.add("chat, JSON, a tier answered that the book can't price", [15], request(PATH, ask()),
              json_answer(completion(USED, service_tier="scale")), alarm(EXACT, DATED))
    table.add("chat, a tier asked that the book can't price", [11],
              request(PATH, ask(model="gpt-4.1", service_tier="priority")), None, refused("price_unknown"))


def counters():
    full = {"prompt_tokens": 19, "completion_tokens": 1200, "total_tokens": 1219,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1152, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                          "rejected_prediction_tokens": 0}}
    table.add("chat, JSON, reasoning is within the output", [10, 15], request(PATH, ask(max_completion_tokens=1200)),
              json_answer(completion(full)),
              charge(table.cost("gpt-5", (19, "input_cost_per_token"), (1200, "output_cost_per_token")), DATED))
    small = ask(model="gpt-4o-mini")
    mini = "gpt-4o-mini-2024-07-18"
    odd = table.cost("gpt-4o-mini", (17, "input_cost_per_token"), (3, "output_cost_per_token"))
    table.add("chat, JSON, a fraction of a nano is rounded up", [15], request(PATH, small),
              json_answer(completion(usage(17, 3), model=mini)), charge(odd, mini))
    table.add("chat, JSON, the total knows of tokens that the parts don't", [15], request(PATH, small),
              json_answer(completion({"prompt_tokens": 17, "completion_tokens": 3, "total_tokens": 120}, model=mini)),
              charge(table.cost("gpt-4o-mini", (17, "input_cost_per_token"), (103, "output_cost_per_token")), mini))
    table.add("chat, JSON, n is 3", [10, 15], request(PATH, ask(n=3)), json_answer(completion(usage(21, 333), choices=3)),
              charge(table.cost("gpt-5", (21, "input_cost_per_token"), (333, "output_cost_per_token")), DATED),
              at_least=table.cost("gpt-5", (1500, "output_cost_per_token_priority")))
    predicted = {"prompt_tokens": 300, "completion_tokens": 64, "total_tokens": 364,
                 "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 30,
                                               "rejected_prediction_tokens": 24}}
    table.add("chat, JSON, a prediction's rejected tokens are within the output", [10, 15], request(
        PATH, ask(model="gpt-4.1", prediction={"type": "content", "content": "class User {}\n" * 12})),
        json_answer(completion(predicted, model="gpt-4.1-2025-04-14")),
        charge(table.cost("gpt-4.1", (300, "input_cost_per_token"), (64, "output_cost_per_token")),
               "gpt-4.1-2025-04-14"))
    sound = {"prompt_tokens": 60, "completion_tokens": 150, "total_tokens": 210,
             "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 44, "text_tokens": 16, "image_tokens": 0},
             "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 117, "text_tokens": 33}}
    spoken = ask(model="gpt-4o-audio-preview", modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"},
                 messages=[{"role": "user", "content": [
                     {"type": "text", "text": "What is this?"},
                     {"type": "input_audio", "input_audio": {"data": "UklGRiQAAABXQVZF" * 200, "format": "wav"}}]}])
    table.add("chat, JSON, audio in and out", [9, 10, 15], request(PATH, spoken), json_answer(completion(
        sound, None, model="gpt-4o-audio-preview")), charge(table.cost(
            "gpt-4o-audio-preview", (16, "input_cost_per_token"), (44, "input_cost_per_audio_token"),
            (33, "output_cost_per_token"), (117, "output_cost_per_audio_token")), "gpt-4o-audio-preview"),
        at_least=table.cost("gpt-4o-audio-preview", (500, "output_cost_per_audio_token")))
    picture = ask(messages=[{"role": "user", "content": [
        {"type": "text", "text": "What is on it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 60}}]}])
    table.add("chat, JSON, a picture that is sent along", [9, 15], request(PATH, picture),
              json_answer(completion(usage(798, 40))),
              charge(table.cost("gpt-5", (798, "input_cost_per_token"), (40, "output_cost_per_token")), DATED))
    long = {"prompt_tokens": 272001, "completion_tokens": 10, "total_tokens": 272011,
            "prompt_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 1000}}
    distant = ask(model="gpt-5.6", messages=[{"role": "user", "content": [
        {"type": "file", "file": {"file_id": "file-6F2ksmvXxt4VdoqmHRw6kL"}}]}])
    for read, suffix in ((272000, ""), (272001, "_above_272k_tokens")):
        read_usage = {**long, "prompt_tokens": read, "total_tokens": read + 10}
        table.add(f"chat, JSON, {read} tokens of a file that is fetched", [9, 11, 15], request(PATH, distant),
                  json_answer(completion(read_usage, model="gpt-5.6")),
                  charge(table.cost("gpt-5.6", (read - 3000, f"input_cost_per_token{suffix}"),
                                    (2000, f"cache_read_input_token_cost{suffix}"),
                                    (1000, f"cache_creation_input_token_cost{suffix}"),
                                    (10, f"output_cost_per_token{suffix}")), "gpt-5.6"),
                  at_least=table.cost("gpt-5.6", (922000, "cache_creation_input_token_cost_above_272k_tokens")))


def streams():
    full = stream(USED)
    asked = request(PATH, ask(**ASKS_USAGE))
    last = len(full)
    cuts = {"before the first event": (0, 0, unknown()), "after the role": (1, 0, unknown(DATED)),
            "in the middle of an event": (3, 47, unknown(DATED)), "after the content": (6, 0, unknown(DATED)),
            "before the usage": (last - 2, 0, unknown(DATED)), "in the usage": (last - 2, 180, unknown(DATED)),
            "after the usage": (last - 1, 0, charge(EXACT, DATED))}
    for coding in CODINGS:
        table.add(f"chat, stream, {coding}", [15], asked, sse(full, coding=coding), charge(EXACT, DATED), **BOUND)
        for where, (keep, keep_bytes, expected) in cuts.items():
            if coding in ("deflate", "zstd") and where not in ("before the usage", "after the usage"):
                continue
            if coding != "identity" and keep_bytes:
                keep_bytes = 1
            table.add(f"chat, stream, {coding}, cut {where}", [17] if expected["kind"] == "unknown" else [15, 17],
                      asked, sse(full, coding=coding, keep=keep, keep_bytes=keep_bytes), expected)
    table.add("chat, stream, the gateway asks for the usage and hides it", [15, 16], request(PATH, ask(stream=True)),
              sse(full), charge(EXACT, DATED), hidden=full[-2], sent={"stream_options": {"include_usage": True}})
    table.add("chat, stream, what the client says of streams is kept", [15],
              request(PATH, ask(stream=True, stream_options={"include_obfuscation": False})), sse(full),
              charge(EXACT, DATED), hidden=full[-2],
              sent={"stream_options": {"include_usage": True, "include_obfuscation": False}})
    table.add("chat, stream, hidden usage and then a cut", [15, 17], request(PATH, ask(stream=True)),
              sse(full, keep=last - 1), charge(EXACT, DATED), hidden=full[-2])
    table.add("chat, stream, lines end in CR LF", [15], asked,
              sse([event.replace(b"\n", b"\r\n") for event in full]), charge(EXACT, DATED))
    table.add("chat, stream, comments and an id between events", [15], asked,
              sse([b": ping\n\n", *full[:3], b": ping\n\n", b"id: 7\n" + full[3], *full[4:]]), charge(EXACT, DATED))
    table.add("chat, stream, no [DONE]", [15], asked, sse(full[:-1]), charge(EXACT, DATED))
    table.add("chat, stream, usage behind the [DONE]", [15], asked,
              sse([*full[:-2], DONE, full[-2]]), charge(EXACT, DATED))
    table.add("chat, stream, content and no usage", [16], asked, sse(stream(None)), in_full(DATED))
    growing = [chunk({"role": "assistant", "content": ""}, usage=usage(30, 0))]
    growing += [chunk({"content": word}, usage=usage(30, n + 1)) for n, word in enumerate(WORDS)]
    growing += [chunk({}, "stop", usage=usage(30, 5)), DONE]
    five = table.cost("gpt-5", (30, "input_cost_per_token"), (5, "output_cost_per_token"))
    table.add("chat, stream, cumulative usage in each event", [15], asked, sse(growing), charge(five, DATED))
    table.add("chat, stream, cumulative usage, cut in the content", [17], asked, sse(growing, keep=4), unknown(DATED))
    null_last = [*growing[:-1], chunk({}, usage=None), DONE]
    table.add("chat, stream, the last non-null usage counts", [15], asked, sse(null_last), charge(five, DATED))
    down = [*stream(None)[:-1], chunk(usage=usage(400, 90)), chunk(usage=usage(400, 10)), DONE]
    table.add("chat, stream, usage goes down", [15], asked, sse(down),
              alarm(table.cost("gpt-5", (400, "input_cost_per_token"), (90, "output_cost_per_token")), DATED))
    call = {"index": 0, "id": "call_9X", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    tools = [chunk({"role": "assistant", "content": None, "tool_calls": [call]}, usage=None)]
    tools += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}, usage=None)
              for part in ('{"city"', ':"Mün', 'chen"}')]
    tools += [chunk({}, "tool_calls", usage=None), chunk(usage=usage(88, 23)), DONE]
    with_tools = ask(**ASKS_USAGE, tools=[{"type": "function", "function": {
        "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])
    table.add("chat, stream, a tool call", [9, 15], request(PATH, with_tools), sse(tools),
              charge(table.cost("gpt-5", (88, "input_cost_per_token"), (23, "output_cost_per_token")), DATED))
    table.add("chat, stream, a tool call and no usage", [16], request(PATH, with_tools), sse([*tools[:-2], DONE]),
              in_full(DATED))
    failure = data_event({"error": {"message": "The server had an error", "type": "server_error", "param": None,
                                    "code": None}})
    table.add("chat, stream, an error before any content", [17], asked, sse([failure]), nothing())
    table.add("chat, stream, an error after content", [17], asked, sse([*full[:4], failure]), in_full(DATED))
    table.add("chat, stream, an error with the usage before it", [17], asked, sse([*full[:-1], failure]),
              charge(EXACT, DATED))


def strange_usage():
    asked = request(PATH, ask())
    table.add("chat, JSON, content and no usage", [16], asked, json_answer(completion("absent")), in_full(DATED))
    table.add("chat, JSON, content and usage null", [16], asked, json_answer(completion(None)), in_full(DATED))
    table.add("chat, JSON, zeros beside content", [16], asked, json_answer(completion(usage(0, 0))), in_full(DATED))
    table.add("chat, JSON, zeros and no content", [16], asked,
              json_answer(completion(usage(0, 0), choices=0)), nothing(DATED))
    strange = {"a text": "much", "a list": [1, 2], "a counter that is a text": {**USED, "prompt_tokens": "1037"},
               "a counter that is a fraction": {**USED, "completion_tokens": 210.5},
               "a negative counter": {**USED, "completion_tokens": -211},
               "a counter beyond any sense": {**USED, "prompt_tokens": 10**15},
               "a counter beyond 64 bits": {**USED, "prompt_tokens": 10**25},
               "more cached than read": usage(100, 10, 200),
               "a counter that nobody knows": {**USED, "quantum_tokens": 7}}
    for what, used in strange.items():
        # The last one makes the whole document one that parsers read differently.
        expected = {"kind": "full_with_alarm"} if "64" in what else alarm(model=DATED)
        table.add(f"chat, JSON, usage is {what}", [15], asked, json_answer(completion(used)), expected)
        events = [*stream(None)[:-1], chunk(usage=used), DONE]
        if what not in ("a list", "a counter beyond 64 bits"):
            table.add(f"chat, stream, usage is {what}", [15], request(PATH, ask(**ASKS_USAGE)), sse(events),
                      alarm(model=DATED))
    huge = usage(5_000_000, 7_000)
    table.add("chat, JSON, more than was reserved is settled in full", [15], asked, json_answer(completion(huge)),
              charge(table.cost("gpt-5", (5_000_000, "input_cost_per_token"), (7_000, "output_cost_per_token")), DATED),
              overrun=True)
    doubled = dumps(completion(USED)).replace(b'"prompt_tokens":1037', b'"prompt_tokens":1037,"prompt_tokens":1')
    table.add("chat, JSON, a counter that is there twice", [15], asked, json_answer(doubled), {
        "kind": "not_below", "cost": format(EXACT, "f")})
    table.add("chat, JSON, no JSON", [16], asked, json_answer(b"<html>it works</html>"), {"kind": "full_with_alarm"})
    table.add("chat, JSON, an empty body", [16], asked, json_answer(b""), in_full())


def models():
    plain = usage(12, 6)
    for answered, expected in {
        DATED: charge(table.cost("gpt-5", (12, "input_cost_per_token"), (6, "output_cost_per_token")), DATED),
        "gpt-5": charge(table.cost("gpt-5", (12, "input_cost_per_token"), (6, "output_cost_per_token")), "gpt-5"),
        "gpt-4.1": charge(table.cost("gpt-4.1", (12, "input_cost_per_token"), (6, "output_cost_per_token")), "gpt-4.1"),
        "gpt-5-pro-2025-10-06": alarm(model="gpt-5-pro-2025-10-06"),
        "gpt-5-2025": alarm(model="gpt-5-2025"),
    }.items():
        table.add(f"chat, JSON, the answer names {answered}", [15, 18], request(PATH, ask()),
                  json_answer(completion(plain, model=answered)), expected)
    table.add("chat, JSON, the answer names no model", [15], request(PATH, ask()),
              json_answer(completion(plain, model="absent")),
              charge(table.cost("gpt-5", (12, "input_cost_per_token"), (6, "output_cost_per_token"))))
    tuned = "ft:gpt-4.1:acme::BkXx2"
    table.add("chat, JSON, a fine-tuned model", [18], request(PATH, ask(model=tuned)),
              json_answer(completion(plain, model=tuned)),
              charge(table.cost("ft:gpt-4.1", (12, "input_cost_per_token"), (6, "output_cost_per_token")), tuned))
    for name, asked, code in (
            ("a model that the book doesn't have", ask(model="gpt-7"), "price_unknown"),
            ("a dated model that the book doesn't have", ask(model=DATED), "price_unknown"),
            ("a model whose name begins like one of the book", ask(model="gpt-5-turbo"), "price_unknown"),
            ("another case of a model's name", ask(model="GPT-5"), "price_unknown"),
            ("a fine-tuned model of an unpriced base", ask(model="ft:gpt-5:acme::B"), "price_unknown"),
            ("a price of zero that isn't marked as free", ask(model="gpt-no-price"), "price_unknown"),
            ("an entry with a surcharge that isn't read", ask(model="o-with-surcharge"), "price_unknown"),
            ("no model", {key: value for key, value in ask().items() if key != "model"}, "price_unknown"),
            ("a hosted tool without terms", ask(tools=[{"type": "mcp", "server_url": "https://x.example"}]),
             "price_unknown")):
        table.add(f"chat, {name}", [12 if "tool" in name else 18], request(PATH, asked), None, refused(code))


def forms():
    for name, body in {
        "a member that is there twice": b'{"model":"gpt-5","model":"gpt-4o-mini","messages":[]}',
        "another case of a member": b'{"model":"gpt-5","Max_completion_tokens":5,"messages":[]}',
        "a camel form of a member": b'{"model":"gpt-5","maxCompletionTokens":5,"messages":[]}',
        "a negative limit": dumps(ask(max_completion_tokens=-1)),
        "a limit that is a text": dumps(ask(max_completion_tokens="10")),
        "a limit that is a fraction": dumps(ask(max_completion_tokens=10.5)),
        "text behind the document": dumps(ask()) + b" {}",
        "invalid UTF-8": dumps(ask()).replace("ü".encode(), b"\xfc"),
        "no object": b"[]",
        "nothing": b"",
    }.items():
        table.add(f"chat, 400 for {name}", [6], request(PATH, body), None, refused("bad_request"))
    table.add("chat, 400 for an unknown coding", [7], {**request(PATH, ask()), "headers": [
        ["Content-Type", "application/json"], ["Content-Encoding", "compress"]]}, None, refused("bad_request"))
    table.add("chat, 400 for another method in a header", [6],
              request(PATH, ask(), headers=[["X-HTTP-Method-Override", "GET"]]), None, refused("bad_request"))


def statuses():
    failure = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "nope"}}
    for status in (301, 400, 401, 403, 404, 409, 422, 429):
        table.add(f"chat, {status} with JSON", [17], request(PATH, ask()), json_answer(failure, status), nothing())
    table.add("chat, 400 without JSON", [17], request(PATH, ask()),
              json_answer(b"<html>Bad Request</html>", 400, content_type="text/html"), nothing())
    table.add("chat, 429 in the middle of which the connection breaks", [17], request(PATH, ask()),
              json_answer(failure, 429, cut_at=20), unknown())
    for status in (408, 499):
        table.add(f"chat, {status} with JSON", [17], request(PATH, ask()), json_answer(failure, status), unknown())
    for status in (500, 502, 503, 529):
        table.add(f"chat, {status} with JSON", [17], request(PATH, ask()), json_answer(failure, status), nothing())
        table.add(f"chat, {status} without JSON", [17], request(PATH, ask()),
                  json_answer(b"upstream connect error", status, content_type="text/plain"), unknown())
    table.add("chat, 504 with an empty body", [17], request(PATH, ask()),
              json_answer(b"", 504, content_type="text/plain"), unknown())
    table.add("chat, 400 with a usage", [17], request(PATH, ask()),
              json_answer({**failure, "model": DATED, "usage": usage(50, 0)}, 400),
              charge(table.cost("gpt-5", (50, "input_cost_per_token")), DATED))
    table.add("chat, 500 with JSON, gzip", [17], request(PATH, ask()), json_answer(failure, 500, coding="gzip"),
              nothing())


def others():
    for name, method, path in (("the models", "GET", "/v1/models"), ("a file that goes", "DELETE", "/v1/files/file-a"),
                               ("moderations", "POST", "/v1/moderations")):
        table.add(f"free: {name}", [1], request(path, {} if method == "POST" else None, method),
                  json_answer({"object": "list", "data": []}), nothing(), at_most=0)
    for name, method, path in (("batches", "POST", "/v1/batches"), ("fine-tuning", "POST", "/v1/fine_tuning/jobs"),
                               ("videos", "POST", "/v1/videos"), ("a path below", "POST", PATH + "/x/y"),
                               ("a path with a slash behind it", "POST", PATH + "/"),
                               ("an escaped path", "POST", "/v1/chat%2Fcompletions"),
                               ("another case of the path", "POST", "/v1/Chat/completions"),
                               ("PUT", "PUT", PATH)):
        table.add(f"unpriced: {name}", [3 if path in ("/v1/batches", "/v1/videos") else 1],
                  request(path, ask(), method), None, refused("price_unknown"))


for part in (documents, tiers, counters, streams, strange_usage, models, forms, statuses, others):
    part()
