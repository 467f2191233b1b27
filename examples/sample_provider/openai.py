"""OpenAI: chat completions, responses, embeddings, models. https://platform.openai.com/docs/api-reference"""

import json
import time

from .sending import arguments_for, data_event, tokens, words

CREDENTIAL = "authorization"  # Bearer …


def error(status, message="The sample provider was asked to fail.", code="sample_error"):
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def serve(method, path, body, wishes, sender):
    """Whether the path is one of this API's. Returns the usage that was told, for the log."""
    if method == "GET" and path == "/v1/models":
        sender.document(200, {"object": "list", "data": [
            {"id": "sample-1", "object": "model", "created": 1763999999, "owned_by": "sample"}]})
        return {}
    serving = {"/v1/chat/completions": chat, "/v1/responses": responses, "/v1/embeddings": embeddings}.get(path)
    if method != "POST" or serving is None:
        return None
    return serving(body, wishes, sender)


# Chat completions ------------------------------------------------------------------------------------------------


def chat(body, wishes, sender):
    made, cut_short = words(wishes, body.get("max_completion_tokens", body.get("max_tokens")))
    call = tool_call(body)
    finish = "tool_calls" if call else "length" if cut_short else "stop"
    read = tokens(body.get("messages", []))
    usage = wishes.replaced({
        "prompt_tokens": read, "completion_tokens": len(made), "total_tokens": read + len(made),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                      "rejected_prediction_tokens": 0}})
    base = {"id": "chatcmpl-sample", "created": int(time.time()), "model": body.get("model", "sample-1"),
            "service_tier": "default", "system_fingerprint": None}
    if body.get("stream") is True:
        sender.events(chat_events(base, made, call, finish, usage, body))
        return usage
    message = {"role": "assistant", "content": None if call else "".join(made), "refusal": None, "annotations": []}
    if call:
        message["tool_calls"] = [call]
    sender.document(200, {**base, "object": "chat.completion", **({"usage": usage} if usage is not None else {}),
                          "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}]})
    return usage


def tool_call(body):
    """A call of the first function, unless its result is there already."""
    functions = [tool.get("function") or tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    messages = body.get("messages") or [{}]
    if not functions or messages[-1].get("role") == "tool":
        return None
    arguments = json.dumps(arguments_for(functions[0].get("parameters")), ensure_ascii=False)
    return {"id": "call_sample", "type": "function", "function": {"name": functions[0]["name"], "arguments": arguments}}


def chat_events(base, made, call, finish, usage, body):
    asked = (body.get("stream_options") or {}).get("include_usage") is True

    def chunk(choices, **more):
        none_yet = {"usage": None} if asked else {}
        return data_event({**base, "object": "chat.completion.chunk", "choices": choices, **none_yet, **more})

    def delta(delta, finish=None):
        return chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])

    yield delta({"role": "assistant", "content": None if call else ""})
    if call:
        text = call["function"]["arguments"]
        half = len(text) // 2
        yield delta({"tool_calls": [{"index": 0, **call, "function": {**call["function"], "arguments": ""}}]})
        for part in (text[:half], text[half:]):
            yield delta({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    else:
        for word in made:
            yield delta({"content": word})
    yield delta({}, finish)
    if asked and usage is not None:
        yield chunk([], usage=usage)
    yield data_event("[DONE]")


# Responses -------------------------------------------------------------------------------------------------------


def responses(body, wishes, sender):
    made, cut_short = words(wishes, body.get("max_output_tokens"))
    read = tokens(body.get("input", ""))
    usage = wishes.replaced({
        "input_tokens": read, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": len(made),
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": read + len(made)})
    item = response_item(body, "".join(made))
    status = "incomplete" if cut_short else "completed"
    whole = {"id": "resp_sample", "object": "response", "created_at": int(time.time()), "status": status, "error": None,
             "incomplete_details": {"reason": "max_output_tokens"} if cut_short else None, "instructions": None,
             "metadata": {}, "model": body.get("model", "sample-1"), "output": [item], "parallel_tool_calls": True,
             "temperature": 1.0, "tool_choice": "auto", "tools": body.get("tools") or [], "top_p": 1.0,
             "service_tier": "default", **({"usage": usage} if usage is not None else {})}
    if body.get("stream") is True:
        sender.events(response_events(whole, item, made))
    else:
        sender.document(200, whole)
    return usage


def response_item(body, text):
    call = tool_call({"tools": body.get("tools"), "messages": [{}]})
    answered = isinstance(body.get("input"), list) and any(
        entry.get("type") == "function_call_output" for entry in body["input"])
    if call and not answered:
        return {"id": "fc_sample", "type": "function_call", "call_id": call["id"], "status": "completed",
                **call["function"]}
    return {"id": "msg_sample", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}


def response_events(whole, item, made):
    number = -1

    def event(kind, **members):
        nonlocal number
        number += 1
        return data_event({"type": kind, "sequence_number": number, **members}, kind)

    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    place = {"item_id": item["id"], "output_index": 0}
    if item["type"] == "message":
        yield event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield event("response.content_part.added", **place, content_index=0, part=part)
        for word in made:
            yield event("response.output_text.delta", **place, content_index=0, delta=word, logprobs=[])
        yield event("response.output_text.done", **place, content_index=0, text="".join(made), logprobs=[])
        yield event("response.content_part.done", **place, content_index=0, part={**part, "text": "".join(made)})
    else:
        yield event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "arguments": ""})
        yield event("response.function_call_arguments.delta", **place, delta=item["arguments"])
        yield event("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
    yield event("response.output_item.done", output_index=0, item=item)
    yield event(f"response.{whole['status']}", response=whole)


# Embeddings ------------------------------------------------------------------------------------------------------


def embeddings(body, wishes, sender):
    wanted = body.get("input", "")
    texts = wanted if isinstance(wanted, list) and wanted and not isinstance(wanted[0], int) else [wanted]
    read = tokens(wanted)
    usage = wishes.replaced({"prompt_tokens": read, "total_tokens": read})
    # Base64 of eight 32-bit zeros where the client wants that, as the SDKs do.
    vector = "A" * 43 + "=" if body.get("encoding_format") == "base64" else [0.0] * 8
    sender.document(200, {"object": "list", "model": body.get("model", "sample-1"),
                          **({"usage": usage} if usage is not None else {}), "data": [
                              {"object": "embedding", "index": n, "embedding": vector} for n in range(len(texts))]})
    return usage
