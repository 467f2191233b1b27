"""OpenAI's other calls: the Responses API, embeddings, images, legacy completions, transcriptions.

https://platform.openai.com/docs/api-reference"""

from openai_chat import SEARCHES
from parts import (CODINGS, Table, alarm, charge, data_event, in_full, json_answer, named_event, nothing, refused,
                   request, sse, unknown)

BOOK = {
    "gpt-5": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 272000, "max_output_tokens": 128000,
        "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
        "search_context_cost_per_query": SEARCHES},
    "text-embedding-3-small": {"litellm_provider": "openai", "mode": "embedding", "max_input_tokens": 8191,
                               "input_cost_per_token": 2.01e-08},
    "gpt-image-1": {
        "litellm_provider": "openai", "mode": "image_generation", "input_cost_per_token": 5e-06,
        "input_cost_per_image_token": 1e-05, "output_cost_per_image_token": 4e-05},
    "gpt-3.5-turbo-instruct": {
        "litellm_provider": "text-completion-openai", "mode": "completion", "max_input_tokens": 8192,
        "max_output_tokens": 4096, "input_cost_per_token": 1.5e-06, "output_cost_per_token": 2e-06},
    "whisper-1": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.0001,
                  "output_cost_per_second": 0.0001},
    "gpt-4o-mini-transcribe": {
        "litellm_provider": "openai", "mode": "audio_transcription", "max_input_tokens": 16000,
        "max_output_tokens": 2000, "input_cost_per_token": 1.25e-06, "input_cost_per_audio_token": 3e-06,
        "output_cost_per_token": 5e-06},
}
table = Table("openai", BOOK)
DATED = "gpt-5-2025-08-07"
RESPONSES = "/v1/responses"


# Responses -------------------------------------------------------------------------------------------------------


def ask(**members):
    return {"model": "gpt-5", "input": "Tell me of the 東京 tower.", "max_output_tokens": 700, **members}


def used(read, written, cached=0, reasoning=0):
    return {"input_tokens": read, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": reasoning}, "total_tokens": read + written}


def message(text="It is 333 m high."):
    return {"id": "msg_68", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]}


def response(usage_, output=None, status="completed", **members):
    return {"id": "resp_68", "object": "response", "created_at": 1763999999, "status": status, "background": False,
            "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": 700, "model": DATED,
            "output": [message()] if output is None else output, "parallel_tool_calls": True,
            "previous_response_id": None, "service_tier": "default", "store": True, "tools": [], "truncation": "disabled",
            "usage": usage_, "metadata": {}, **members}


def events(final, words=("It is ", "333 m ", "高い。")):
    begun = response(None, [], "in_progress")
    item = {"id": "msg_68", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    made = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.content_part.added", "item_id": "msg_68", "output_index": 0, "content_index": 0,
             "part": {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}}]
    made += [{"type": "response.output_text.delta", "item_id": "msg_68", "output_index": 0, "content_index": 0,
              "delta": word, "logprobs": []} for word in words]
    made += [{"type": "response.output_text.done", "item_id": "msg_68", "output_index": 0, "content_index": 0,
              "text": "".join(words), "logprobs": []},
             {"type": "response.output_item.done", "output_index": 0, "item": message("".join(words))}]
    if final is not None:
        made.append(final)
    return [named_event({**event, "sequence_number": n}) for n, event in enumerate(made)]


def responses():
    spent = used(328, 52, 128, 16)
    exact = table.cost("gpt-5", (200, "input_cost_per_token"), (128, "cache_read_input_token_cost"),
                       (52, "output_cost_per_token"))
    least = table.cost("gpt-5", (700, "output_cost_per_token"))
    asked = request(RESPONSES, ask())
    streamed = request(RESPONSES, ask(stream=True))
    done = {"type": "response.completed", "response": response(spent)}
    full = events(done)
    for coding in CODINGS:
        table.add(f"responses, JSON, {coding}", [15], asked, json_answer(response(spent), coding=coding),
                  charge(exact, DATED), at_least=least)
        table.add(f"responses, stream, {coding}", [15], streamed, sse(full, coding=coding), charge(exact, DATED),
                  at_least=least)
        table.add(f"responses, stream, {coding}, cut before the usage", [17], streamed,
                  sse(full, coding=coding, keep=len(full) - 1), unknown(DATED))
    table.add("responses, stream, cut before any content", [17], streamed, sse(full, keep=2), unknown(DATED))
    table.add("responses, stream, ends without its last event", [16], streamed, sse(events(None)), in_full(DATED))
    table.add("responses, stream, incomplete", [15], streamed, sse(events(
        {"type": "response.incomplete", "response": response(spent, status="incomplete", incomplete_details={
            "reason": "max_output_tokens"})})), charge(exact, DATED))
    failed = response(None, [], "failed", error={"code": "server_error", "message": "The model failed."})
    begun = events(None)[:2]
    table.add("responses, stream, failed before any content", [17], streamed,
              sse([*begun, named_event({"type": "response.failed", "response": failed})]), nothing(DATED))
    table.add("responses, stream, failed after content", [17], streamed,
              sse([*events(None)[:6], named_event({"type": "response.failed", "response": failed})]), in_full(DATED))
    table.add("responses, stream, failed and its usage", [17], streamed,
              sse([*events(None)[:6], named_event({"type": "response.failed", "response": {**failed, "usage": spent}})]),
              charge(exact, DATED))
    table.add("responses, stream, an error event before any content", [17], streamed, sse([*begun, named_event(
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None})]), nothing(DATED))
    table.add("responses, JSON, no usage", [16], asked, json_answer(response(None)), in_full(DATED))
    searches = [{"type": "web_search_call", "id": f"ws_{n}", "status": "completed",
                 "action": {"type": "search", "query": "東京"}} for n in range(2)]
    opened = {"type": "web_search_call", "id": "ws_9", "status": "completed",
              "action": {"type": "open_page", "url": "https://a.example/"}}
    with_search = table.cost("gpt-5", (9000, "input_cost_per_token"), (80, "output_cost_per_token"),
                             (2, "search_context_cost_per_query.search_context_size_medium"))
    searching = request(RESPONSES, ask(tools=[{"type": "web_search"}]))
    table.add("responses, JSON, two searches and a page", [12, 15], searching,
              json_answer(response(used(9000, 80), [*searches, opened, message()])), charge(with_search, DATED),
              at_least=with_search)
    items = [named_event({"type": "response.output_item.done", "output_index": n, "item": item})
             for n, item in enumerate((*searches, opened))]
    last = {"type": "response.completed", "response": response(used(9000, 80), [*searches, opened, message()])}
    table.add("responses, stream, two searches and a page", [12, 15],
              request(RESPONSES, ask(stream=True, tools=[{"type": "web_search"}])),
              sse([*events(None)[:2], *items, named_event(last)]), charge(with_search, DATED))
    table.add("responses, a function of the client's", [9, 15], request(RESPONSES, ask(tools=[
        {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}])),
        json_answer(response(spent, [{"type": "function_call", "id": "fc_1", "call_id": "call_1",
                                      "name": "get_weather", "arguments": "{}", "status": "completed"}])),
        charge(exact, DATED))
    table.add("responses, an earlier response that nobody knows is bounded by the window", [9], request(
        RESPONSES, ask(previous_response_id="resp_1")), json_answer(response(used(200_000, 10))),
        charge(table.cost("gpt-5", (200_000, "input_cost_per_token"), (10, "output_cost_per_token")), DATED),
        at_least=table.cost("gpt-5", (272000, "input_cost_per_token"), (700, "output_cost_per_token")))
    table.add("responses, in the background", [3], request(RESPONSES, ask(background=True)), None,
              refused("price_unknown"))
    table.add("responses, code that the provider runs", [12], request(RESPONSES, ask(tools=[
        {"type": "code_interpreter", "container": {"type": "auto"}}])), None, refused("price_unknown"))
    table.add("responses, count of tokens", [1], request(RESPONSES + "/input_tokens", ask()),
              json_answer({"object": "response.input_tokens", "input_tokens": 11}), nothing(), at_most=0)
    table.add("responses, read again", [3], request(RESPONSES + "/resp_68", None, "GET"), json_answer(response(spent)),
              nothing(), at_most=0)


# The rest --------------------------------------------------------------------------------------------------------


def embeddings():
    path = "/v1/embeddings"

    def vectors(tokens, count=1):
        return {"object": "list", "model": "text-embedding-3-small",
                "data": [{"object": "embedding", "index": n, "embedding": [0.0023, -0.0093] * 400} for n in range(count)],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}

    for coding in CODINGS:
        table.add(f"embeddings, JSON, {coding}", [9, 15],
                  request(path, {"model": "text-embedding-3-small", "input": "Der Fuß im Gras"}),
                  json_answer(vectors(7), coding=coding),
                  charge(table.cost("text-embedding-3-small", (7, "input_cost_per_token")), "text-embedding-3-small"))
    tokens = [1212, 318, 257, 1332] * 30
    table.add("embeddings, of tokens", [9, 15], request(path, {"model": "text-embedding-3-small", "input": tokens}),
              json_answer(vectors(120)),
              charge(table.cost("text-embedding-3-small", (120, "input_cost_per_token")), "text-embedding-3-small"),
              at_least=table.cost("text-embedding-3-small", (120, "input_cost_per_token")))
    table.add("embeddings, of three texts", [9, 15], request(
        path, {"model": "text-embedding-3-small", "input": ["one", "two", "three"]}), json_answer(vectors(3, 3)),
        charge(table.cost("text-embedding-3-small", (3, "input_cost_per_token")), "text-embedding-3-small"))
    table.add("embeddings, no usage", [16], request(path, {"model": "text-embedding-3-small", "input": "x"}),
              json_answer({**vectors(1), "usage": None}), in_full("text-embedding-3-small"))
    table.add("embeddings, cut", [17], request(path, {"model": "text-embedding-3-small", "input": "x"}),
              json_answer(vectors(1), cut_at=900), unknown())


def images():
    path = "/v1/images/generations"
    asked = {"model": "gpt-image-1", "prompt": "a cat", "size": "1024x1024", "quality": "high", "n": 1}
    spent = {"total_tokens": 4170, "input_tokens": 10, "output_tokens": 4160,
             "input_tokens_details": {"text_tokens": 10, "image_tokens": 0}}
    exact = table.cost("gpt-image-1", (10, "input_cost_per_token"), (4160, "output_cost_per_image_token"))
    done = {"created": 1763999999, "background": "opaque", "data": [{"b64_json": "iVBORw0KGgo" * 500}],
            "output_format": "png", "quality": "high", "size": "1024x1024", "usage": spent}
    table.add("images, JSON", [10, 15], request(path, asked), json_answer(done), charge(exact), at_least=exact)
    table.add("images, JSON, gzip", [10, 15], request(path, asked), json_answer(done, coding="gzip"), charge(exact))
    table.add("images, no usage", [16], request(path, asked), json_answer({**done, "usage": None}), in_full())
    part = {"type": "image_generation.partial_image", "b64_json": "iVBORw0KGgo" * 100, "partial_image_index": 0}
    last = {"type": "image_generation.completed", "b64_json": "iVBORw0KGgo" * 300, "usage": spent}
    streamed = request(path, {**asked, "stream": True, "partial_images": 1})
    table.add("images, stream", [10, 15], streamed, sse([named_event(part), named_event(last)]), charge(exact))
    table.add("images, stream, cut before the usage", [17], streamed, sse([named_event(part), named_event(last)], keep=1),
              unknown())


def completions():
    path = "/v1/completions"
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": ["Say this.", "Say that."], "max_tokens": 40, "n": 2,
             "best_of": 3}

    def completion(spent, texts=4):
        return {"id": "cmpl-1", "object": "text_completion", "created": 1763999999, "model": "gpt-3.5-turbo-instruct:20230824-v2",
                "choices": [{"text": "\n\nThis.", "index": n, "logprobs": None, "finish_reason": "length"}
                            for n in range(texts)], **({"usage": spent} if spent else {})}

    spent = {"prompt_tokens": 6, "completion_tokens": 240, "total_tokens": 246}
    named = completion(spent)
    named["model"] = "gpt-3.5-turbo-instruct"
    exact = table.cost("gpt-3.5-turbo-instruct", (6, "input_cost_per_token"), (240, "output_cost_per_token"))
    table.add("completions, JSON, two prompts, best of three", [10, 15], request(path, asked), json_answer(named),
              charge(exact, "gpt-3.5-turbo-instruct"), at_least=table.cost(
                  "gpt-3.5-turbo-instruct", (240, "output_cost_per_token")))
    table.add("completions, a suffix of the model's name that nobody knows", [15, 18], request(path, asked),
              json_answer(completion(spent)), alarm(model="gpt-3.5-turbo-instruct:20230824-v2"))
    words = [{**named, "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": None}], "usage": None}
             for text in ("one", " two", " drei")]
    last = {**named, "choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}}
    full = [*map(data_event, words), data_event(last), b"data: [DONE]\n\n"]
    single = {"model": "gpt-3.5-turbo-instruct", "prompt": "Count", "max_tokens": 5, "stream": True}
    three = table.cost("gpt-3.5-turbo-instruct", (4, "input_cost_per_token"), (3, "output_cost_per_token"))
    table.add("completions, stream, the gateway asks for the usage", [15], request(path, single), sse(full),
              charge(three, "gpt-3.5-turbo-instruct"), hidden=full[-2], sent={"stream_options": {"include_usage": True}})
    table.add("completions, stream, cut in the content", [17], request(path, single), sse(full, keep=2),
              unknown("gpt-3.5-turbo-instruct"), hidden=full[-2])


def form(*fields, audio=b"\x00" * 4000):
    parts = "".join(f'--xYz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields)
    head = '--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    return parts.encode() + head.encode() + audio + b"\r\n--xYz--\r\n"


def transcriptions():
    path = "/v1/audio/transcriptions"
    field = ["Content-Type", "multipart/form-data; boundary=xYz"]

    def send(*fields):
        asked = request(path, form(*fields))
        return {**asked, "headers": [field]}

    table.add("transcription, by the second", [13, 15], send(("model", "whisper-1")),
              json_answer({"text": "Grüß Gott", "usage": {"type": "duration", "seconds": 3}}),
              charge(table.cost("whisper-1", (3, "input_cost_per_second"))))
    table.add("transcription, by the token", [13, 15], send(("model", "gpt-4o-mini-transcribe")),
              json_answer({"text": "Grüß Gott", "usage": {
                  "type": "tokens", "total_tokens": 101, "input_tokens": 14, "output_tokens": 45 + 42,
                  "input_token_details": {"text_tokens": 4, "audio_tokens": 10}}}),
              charge(table.cost("gpt-4o-mini-transcribe", (4, "input_cost_per_token"),
                                (10, "input_cost_per_audio_token"), (87, "output_cost_per_token"))))
    table.add("transcription, no usage", [16], send(("model", "whisper-1")), json_answer({"text": "Grüß Gott"}), in_full())
    table.add("transcription, a field that is there twice", [6], send(("model", "whisper-1"), ("model", "tts-1")), None,
              refused("bad_request"))


responses()
embeddings()
images()
completions()
transcriptions()
