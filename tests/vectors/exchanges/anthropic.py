"""Anthropic's Messages: https://platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming."""

from parts import (CODINGS, Table, alarm, charge, dumps, in_full, json_answer, named_event, nothing, refused, request,
                   sse, unknown)

SEARCHES = {f"search_context_size_{size}": 0.01 for size in ("low", "medium", "high")}
BOOK = {
    "claude-sonnet-4-5": {
        "litellm_provider": "anthropic", "mode": "chat", "max_input_tokens": 1000000, "max_output_tokens": 64000,
        "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06, "cache_read_input_token_cost": 3e-07,
        "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
        "cache_read_input_token_cost_above_200k_tokens": 6e-07, "search_context_cost_per_query": SEARCHES},
    "claude-haiku-4-5": {
        "litellm_provider": "anthropic", "mode": "chat", "max_input_tokens": 200000, "max_output_tokens": 64000,
        "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06, "cache_creation_input_token_cost": 1.25e-06,
        "cache_creation_input_token_cost_above_1hr": 2e-06, "cache_read_input_token_cost": 1.003e-07},
    "claude-opus-4-6": {
        "litellm_provider": "anthropic", "mode": "chat", "max_input_tokens": 200000, "max_output_tokens": 128000,
        "input_cost_per_token": 5e-06, "output_cost_per_token": 2.5e-05, "cache_creation_input_token_cost": 6.25e-06,
        "cache_creation_input_token_cost_above_1hr": 1e-05, "cache_read_input_token_cost": 5e-07,
        "provider_specific_entry": {"us": 1.1, "fast": 6}},
}
PATH = "/v1/messages"
HEADERS = [["anthropic-version", "2023-06-01"]]
DATED = "claude-sonnet-4-5-20250929"
table = Table("anthropic", BOOK)


def ask(**members):
    document = {"model": "claude-sonnet-4-5", "max_tokens": 1024,
                "messages": [{"role": "user", "content": "Wie geht's, 世界?"}], **members}
    return request(PATH, document, headers=HEADERS)


def usage(read, written, write_5m=0, write_1h=0, cached=0, **more):
    return {"input_tokens": read, "cache_creation_input_tokens": write_5m + write_1h, "cache_read_input_tokens": cached,
            "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
            "output_tokens": written, "service_tier": "standard", **more}


def message(used, content=None, **members):
    return {"id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "model": DATED,
            "content": [{"type": "text", "text": "Gut, danke. 😀"}] if content is None else content,
            "stop_reason": "end_turn", "stop_sequence": None, "usage": used, **members}


def text_block(index=0, words=("Gut, ", "danke. ", "😀", "世界")):
    return [{"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
            *({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": word}}
              for word in words), {"type": "content_block_stop", "index": index}]


def events(started, ended, blocks=None, stop="end_turn", **start_members):
    first = {**message(started, []), "stop_reason": None, **start_members}
    made = [{"type": "message_start", "message": first}, {"type": "ping"}, *(text_block() if blocks is None else blocks)]
    if ended is not None:
        made += [{"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": ended}]
    return [named_event(event) for event in [*made, {"type": "message_stop"}]]


def in_and_out(read, written, model="claude-sonnet-4-5", **options):
    return table.cost(model, (read, "input_cost_per_token"), (written, "output_cost_per_token"), **options)


LEAST = in_and_out(0, 1024)


def documents():
    used = usage(25, 317)
    exact = in_and_out(25, 317)
    for coding in CODINGS:
        table.add(f"messages, JSON, {coding}", [15], ask(), json_answer(message(used), coding=coding),
                  charge(exact, DATED), at_least=LEAST)
        table.add(f"messages, JSON, {coding}, cut", [17], ask(), json_answer(message(used), coding=coding, cut_at=80),
                  unknown())
    table.add("messages, JSON, no usage", [16], ask(), json_answer(message(None)), in_full(DATED))
    table.add("messages, JSON, zeros beside content", [16], ask(), json_answer(message(usage(0, 0))), in_full(DATED))
    table.add("messages, JSON, zeros and no content", [16], ask(), json_answer(message(usage(0, 0), [])), nothing(DATED))
    table.add("messages, JSON, a refusal that wrote nothing", [16], ask(),
              json_answer(message(usage(25, 0), [], stop_reason="refusal")), charge(in_and_out(25, 0), DATED))
    for what, wrong in {"a text": "x", "a counter that is a text": {**used, "input_tokens": "25"},
                        "a negative counter": {**used, "output_tokens": -1},
                        "a counter beyond any sense": {**used, "output_tokens": 10**13},
                        "a kind of cache that nobody knows": {**used, "cache_creation": {
                            "ephemeral_7d_input_tokens": 5}}}.items():
        table.add(f"messages, JSON, usage is {what}", [15], ask(), json_answer(message(wrong)), alarm(model=DATED))
    table.add("messages, JSON, a priority tier that the book can't price", [15], ask(),
              json_answer(message({**used, "service_tier": "priority"})), alarm(exact, DATED))


def streams():
    start, end = usage(25, 1), {"output_tokens": 317}
    exact = in_and_out(25, 317)
    full = events(start, end)
    asked = ask(stream=True)
    last = len(full)
    cuts = {"before the first event": (0, unknown()), "before any content": (2, unknown(DATED)),
            "in the content": (4, unknown(DATED)), "before the usage": (last - 2, unknown(DATED)),
            "after the usage": (last - 1, charge(exact, DATED))}
    for coding in CODINGS:
        table.add(f"messages, stream, {coding}", [15], asked, sse(full, coding=coding), charge(exact, DATED),
                  at_least=LEAST)
        for where, (keep, expected) in cuts.items():
            if coding in ("deflate", "zstd", "br") and where not in ("before the usage", "after the usage"):
                continue
            table.add(f"messages, stream, {coding}, cut {where}", [15, 17], asked, sse(full, coding=coding, keep=keep),
                      expected)
    table.add("messages, stream, the placeholder alone is no usage", [16], asked, sse(events(start, None)), in_full(DATED))
    again = {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 317}
    table.add("messages, stream, all counters told again at the end", [15], asked, sse(events(start, again)),
              charge(exact, DATED))
    table.add("messages, stream, the end tells of more that was read", [15], asked,
              sse(events(start, {**again, "input_tokens": 2679})), charge(in_and_out(2679, 317), DATED))
    failure = named_event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    table.add("messages, stream, an error before anything", [17], asked, sse([failure]), nothing())
    table.add("messages, stream, an error after content", [17], asked, sse([*full[:4], failure]), in_full(DATED))
    table.add("messages, stream, an error after the usage", [17], asked, sse([*full[:-1], failure]),
              charge(exact, DATED))
    thinking = [{"type": "content_block_start", "index": 0,
                 "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me …"}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}},
                {"type": "content_block_stop", "index": 0}, *text_block(1)]
    table.add("messages, stream, extended thinking", [10, 15],
              ask(stream=True, max_tokens=4096, thinking={"type": "enabled", "budget_tokens": 2048}),
              sse(events(start, {"output_tokens": 2555}, thinking)), charge(in_and_out(25, 2555), DATED),
              at_least=in_and_out(0, 4096))
    tool = [*text_block(0), {"type": "content_block_start", "index": 1, "content_block": {
        "type": "tool_use", "id": "toolu_01T", "name": "get_weather", "input": {}}},
        *({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}
          for part in ("", '{"city":', ' "Mün', 'chen"}')), {"type": "content_block_stop", "index": 1}]
    tools = [{"name": "get_weather", "description": "of a city", "input_schema": {"type": "object"}}]
    table.add("messages, stream, a tool call", [9, 15], ask(stream=True, tools=tools),
              sse(events(usage(472, 2), {"output_tokens": 89}, tool, "tool_use")), charge(in_and_out(472, 89), DATED))
    table.add("messages, stream, a tool call cut in its arguments", [17], ask(stream=True, tools=tools),
              sse(events(usage(472, 2), {"output_tokens": 89}, tool, "tool_use"), keep=11), unknown(DATED))


def caches():
    cached = [{"type": "text", "text": "You know all of it. " * 40, "cache_control": {"type": "ephemeral"}}]
    hour = [{**cached[0], "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for name, system, used, keys in (
            ("written for five minutes", cached, usage(21, 100, write_5m=188), [(188, "cache_creation_input_token_cost")]),
            ("written for an hour", hour, usage(21, 100, write_1h=188), [
                (188, "cache_creation_input_token_cost_above_1hr")]),
            ("read", cached, usage(21, 100, cached=188), [(188, "cache_read_input_token_cost")]),
            ("read and written for both", hour, usage(3, 100, 40, 50, 98), [
                (40, "cache_creation_input_token_cost"), (50, "cache_creation_input_token_cost_above_1hr"),
                (98, "cache_read_input_token_cost")])):
        exact = table.cost("claude-sonnet-4-5", (used["input_tokens"], "input_cost_per_token"),
                           (100, "output_cost_per_token"), *keys)
        table.add(f"messages, JSON, a cache that is {name}", [9, 15], ask(system=system), json_answer(message(used)),
                  charge(exact, DATED), at_least=LEAST)
        table.add(f"messages, stream, a cache that is {name}", [9, 15], ask(system=system, stream=True),
                  sse(events({**used, "output_tokens": 1}, {"output_tokens": 100})), charge(exact, DATED))
    # The kinds are told at the start alone.
    started = usage(3, 1, 40, 50, 98)
    ended = {"input_tokens": 3, "cache_creation_input_tokens": 90, "cache_read_input_tokens": 98, "output_tokens": 100}
    table.add("messages, stream, the cache's kinds told at the start alone", [15], ask(system=hour, stream=True),
              sse(events(started, ended)), charge(table.cost(
                  "claude-sonnet-4-5", (3, "input_cost_per_token"), (40, "cache_creation_input_token_cost"),
                  (50, "cache_creation_input_token_cost_above_1hr"), (98, "cache_read_input_token_cost"),
                  (100, "output_cost_per_token")), DATED))
    odd = table.cost("claude-haiku-4-5", (1, "input_cost_per_token"), (7, "cache_read_input_token_cost"),
                     (1, "output_cost_per_token"))
    table.add("messages, JSON, a fraction of a nano is rounded up", [15], ask(model="claude-haiku-4-5", system=cached),
              json_answer(message(usage(1, 1, cached=7), model="claude-haiku-4-5-20251001")),
              charge(odd, "claude-haiku-4-5-20251001"))


def terms():
    document = [{"role": "user", "content": [{"type": "document", "source": {"type": "url",
                                                                            "url": "https://a.example/b.pdf"}}]}]
    for read, suffix in ((200_000, ""), (200_001, "_above_200k_tokens")):
        exact = table.cost("claude-sonnet-4-5", (read - 1000, f"input_cost_per_token{suffix}"),
                           (1000, f"cache_read_input_token_cost{suffix}"), (50, f"output_cost_per_token{suffix}"))
        table.add(f"messages, JSON, {read} tokens read", [9, 11, 15], ask(messages=document),
                  json_answer(message(usage(read - 1000, 50, cached=1000))), charge(exact, DATED),
                  at_least=table.cost("claude-sonnet-4-5", (1_000_000, "input_cost_per_token_above_200k_tokens"),
                                      (1024, "output_cost_per_token_above_200k_tokens")))
    opus = "claude-opus-4-6"
    for name, members, told, factor in (
            ("the fast mode", {"speed": "fast"}, {"speed": "fast"}, "6"),
            ("the fast mode that was not given", {"speed": "fast"}, {"speed": "standard"}, "1"),
            ("a region with a price of its own", {"inference_geo": "us"}, {"inference_geo": "us"}, "1.1"),
            ("the workspace's region", {}, {"inference_geo": "us"}, "1.1"),
            ("both", {"inference_geo": "us", "speed": "fast"}, {"inference_geo": "us", "speed": "fast"}, "6.6"),
            ("a region that costs nothing more", {"inference_geo": "global"}, {"inference_geo": "global"}, "1")):
        exact = in_and_out(33, 77, opus, factor=factor)
        table.add(f"messages, JSON, {name}", [11, 15], ask(model=opus, **members),
                  json_answer(message(usage(33, 77, **told), model=opus)), charge(exact, opus))
    table.add("messages, a speed that the book can't price", [11], ask(speed="fast"), None, refused("price_unknown"))


def tools_of_the_provider():
    search = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]
    used = usage(6039, 931, server_tool_use={"web_search_requests": 2})
    exact = table.cost("claude-sonnet-4-5", (6039, "input_cost_per_token"), (931, "output_cost_per_token"),
                       (2, "search_context_cost_per_query.search_context_size_medium"))
    found = [{"type": "server_tool_use", "id": "srvtoolu_01", "name": "web_search", "input": {"query": "x"}},
             {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_01", "content": []},
             {"type": "text", "text": "There."}]
    table.add("messages, JSON, two searches", [12, 15], ask(tools=search), json_answer(message(used, found)),
              charge(exact, DATED), at_least=table.cost(
                  "claude-sonnet-4-5", (4 * 1024, "output_cost_per_token"),
                  (3, "search_context_cost_per_query.search_context_size_medium")))
    table.add("messages, stream, two searches", [12, 15], ask(tools=search, stream=True), sse(events(
        usage(2679, 3), {"input_tokens": 6039, "output_tokens": 931, "server_tool_use": {"web_search_requests": 2}})),
        charge(exact, DATED))
    without = [{"type": "web_search_20250305", "name": "web_search"}]
    table.add("messages, a search without max_uses gets one", [12], ask(tools=without), json_answer(message(used, found)),
              charge(exact, DATED), sent={"tools": [{**without[0], "max_uses": 5}]})
    route = {"tools": {"code_execution": {"fee": "0.05", "max_calls": 2, "tokens_per_call": 3000}}}
    table.add("messages, code with the route's terms", [12, 15],
              ask(tools=[{"type": "code_execution_20250825", "name": "code_execution"}]),
              json_answer(message(usage(900, 80, server_tool_use={"code_execution_requests": 1}))),
              charge(table.cost("claude-sonnet-4-5", (900, "input_cost_per_token"), (80, "output_cost_per_token"),
                                extra="0.05"), DATED), terms=route)
    table.add("messages, code without terms", [12], ask(tools=[{"type": "code_execution_20250825",
                                                                "name": "code_execution"}]), None,
              refused("price_unknown"))
    table.add("messages, JSON, a tool counted that nobody asked for", [15], ask(), json_answer(message(
        usage(25, 30, server_tool_use={"telepathy_requests": 1}))), alarm(model=DATED))
    url = [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://a.example/b"}}]}]
    passes = [{"type": "compaction", "input_tokens": 150_000, "output_tokens": 3500},
              {"type": "message", "input_tokens": 23_000, "output_tokens": 1000}]
    both = in_and_out(150_000, 3500) + in_and_out(23_000, 1000)
    table.add("messages, JSON, a compaction is a pass of its own", [12, 15], ask(
        messages=url, context_management={"edits": [{"type": "compact_20260112"}]}),
        json_answer(message(usage(23_000, 1000, iterations=passes))), charge(both, DATED))


def others():
    failure = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}, "request_id": "req_011"}
    for status, expected in ((400, nothing()), (401, nothing()), (413, nothing()), (429, nothing()), (500, nothing()),
                             (529, nothing()), (408, unknown()), (499, unknown())):
        table.add(f"messages, {status} with JSON", [17], ask(), json_answer(failure, status), expected)
    table.add("messages, 529 without JSON", [17], ask(), json_answer(b"busy", 529, content_type="text/plain"), unknown())
    table.add("free: count_tokens", [1], request(PATH + "/count_tokens", {"model": "claude-sonnet-4-5", "messages": []}),
              json_answer({"input_tokens": 14}), nothing(), at_most=0)
    table.add("free: the models", [1], request("/v1/models", None, "GET"), json_answer({"data": []}), nothing(),
              at_most=0)
    table.add("unpriced: legacy text completions", [1], request("/v1/complete", {"model": "claude-2"}), None,
              refused("price_unknown"))
    for name, code, members in (("a model that the book doesn't have", "price_unknown", {"model": "claude-9"}),
                                ("a dated model that the book doesn't have", "price_unknown", {"model": DATED}),
                                ("a negative limit", "bad_request", {"max_tokens": -1}),
                                ("another case of a member", "bad_request", {"Max_Tokens": 5})):
        table.add(f"messages, {name}", [6 if code == "bad_request" else 18], ask(**members), None, refused(code))
    table.add("messages, JSON, another model answered", [15], ask(), json_answer(message(
        usage(25, 30), model="claude-haiku-4-5-20251001")), {**alarm(model="claude-haiku-4-5-20251001")})
    table.add("messages, JSON, an undated model of the book answered", [15], ask(), json_answer(message(
        usage(25, 30), model="claude-haiku-4-5")), charge(in_and_out(25, 30, "claude-haiku-4-5"), "claude-haiku-4-5"))
    doubled = dumps(message(usage(25, 30))).replace(b'"output_tokens":30', b'"output_tokens":30,"output_tokens":0')
    table.add("messages, JSON, a counter that is there twice", [15], ask(), json_answer(doubled),
              {"kind": "not_below", "cost": format(in_and_out(25, 30), "f")})


for part in (documents, streams, caches, terms, tools_of_the_provider, others):
    part()
