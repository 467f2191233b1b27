// One call with an unmodified SDK, as its argument (JSON) says; what came of it is one JSON line.
//
//     call     chat, chat_tools, chat_stream, responses, responses_stream, message, message_tools, message_stream
//     proxy    dispatcher: undici's ProxyAgent is handed to the SDK; environment: Node's own NODE_USE_ENV_PROXY
//     model, headers    of the request

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { ProxyAgent } from "undici";

const job = JSON.parse(process.argv[2]);
const messages = [{ role: "user", content: "Wie war's? 世界" }];
const schema = { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } } };

const options = { defaultHeaders: job.headers ?? {} };
if (job.proxy === "dispatcher") {
  options.fetchOptions = { dispatcher: new ProxyAgent(process.env.HTTPS_PROXY) };
}
const gpt = { model: job.model ?? "gpt-4o-mini" };
const claude = { model: job.model ?? "claude-haiku-4-5", max_tokens: 100, messages };

const calls = {
  async chat() {
    const answer = await new OpenAI(options).chat.completions.create({ ...gpt, messages });
    return answer.choices[0].message.content;
  },
  async chat_tools() {
    const tools = [{ type: "function", function: { name: "get_weather", parameters: schema } }];
    const answer = await new OpenAI(options).chat.completions.create({ ...gpt, messages, tools });
    return JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments);
  },
  async chat_stream() {
    let text = "";
    for await (const chunk of await new OpenAI(options).chat.completions.create({ ...gpt, messages, stream: true })) {
      text += chunk.choices[0].delta.content ?? "";
    }
    return text;
  },
  async responses() {
    return (await new OpenAI(options).responses.create({ ...gpt, input: messages[0].content })).output_text;
  },
  async responses_stream() {
    let text = "";
    const stream = await new OpenAI(options).responses.create({ ...gpt, input: messages[0].content, stream: true });
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    return text;
  },
  async message() {
    return (await new Anthropic(options).messages.create(claude)).content[0].text;
  },
  async message_tools() {
    const tools = [{ name: "get_weather", input_schema: schema }];
    return (await new Anthropic(options).messages.create({ ...claude, tools })).content[0].input;
  },
  async message_stream() {
    return await new Anthropic(options).messages.stream(claude).finalText();
  },
};

let result;
try {
  result = { answer: await calls[job.call]() };
} catch (error) {
  const body = error.error?.error ?? error.error ?? {};
  result = { status: error.status, code: body.code, text: body.message, message: error.message };
}
process.stdout.write(JSON.stringify(result) + "\n", () => process.exit(0));
