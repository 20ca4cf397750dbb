// A program on the Claude Agent SDK for TypeScript. It prints the SDK's result messages as JSON.
//
//   node program.mjs PATH_OF_SDK OPTIONS_AS_JSON
import { pathToFileURL } from "node:url";

const [sdk, options] = process.argv.slice(2);
const { query } = await import(pathToFileURL(sdk));
const results = [];
const session = query({
  prompt: "script:query",
  options: {
    model: "claude-sonnet-4-5",
    permissionMode: "bypassPermissions",
    allowDangerouslySkipPermissions: true,
    agents: { reviewer: { description: "Reviews", prompt: "You review code.", tools: ["Read"], model: "opus" } },
    ...JSON.parse(options),
  },
});
for await (const message of session) {
  if (message.type === "result") {
    results.push({ session: message.session_id, cost: message.total_cost_usd, usage: message.usage, models: message.modelUsage });
  }
}
console.log(JSON.stringify(results));
