import { once } from 'node:events';
import { createServer } from 'node:http';

/** A request the scratch server got. `at` is simulated UTC milliseconds. */
export type Received = { at: number; method: string; path: string; headers: Record<string, unknown>; body: Record<string, unknown> | null };

/** What to answer; undefined leaves it to {@link usual}. `body` as text goes out as it is, anything else as an R1 envelope. */
export type Script = (request: Received) => { status?: number; body?: unknown } | undefined;

const payloads: readonly [pattern: RegExp, payload: unknown][] = [
	[/\/config$/, { enabled: true, auto_switch_enabled: true, auto_terminate_enabled: true, terminate_wait_seconds: 300 }],
	[/\/pending-commands$/, { commands: [], count: 0 }],
	[/\/replicas\?status=/, { replicas: [], total: 0 }],
	[/\/instances-to-terminate$/, { instances: [], auto_terminate_enabled: true, terminate_wait_seconds: 300 }],
	[/\/decide$/, { action: 'NO_ACTION', confidence: 0.5, reasoning: 'nothing to do' }],
	[/\/emergency-status$/, { notice_status: 'none' }],
	[/./, { success: true }],
];

/** The answer of a server that follows the contract and never wants anything. */
export const usual = (request: Received): { status?: number; body?: unknown } => {
	if (request.path.startsWith('/api/agents/None/')) return { status: 404, body: { error: 'Agent not found' } };
	if (request.path === '/api/agents/register') {
		return { body: { agent_id: `agent-of-${request.body?.instance_id}`, client_id: 'client-1', config: { enabled: true } } };
	}
	return { body: payloads.find(([pattern]) => pattern.test(request.path))?.[1] };
};

/** A server on a free port that logs what it gets. Close it after use. */
export const startScratchServer = async (now: () => number, script: Script = () => undefined) => {
	const log: Received[] = [];
	const server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on('data', (chunk: Buffer) => chunks.push(chunk));
		request.on('end', () => {
			const sent = Buffer.concat(chunks).toString();
			const { method = '', url = '', headers } = request;
			const received: Received = { at: now(), method, path: url, headers, body: sent === '' ? null : JSON.parse(sent) };
			log.push(received);
			const { status = 200, body } = script(received) ?? usual(received);
			response.writeHead(status, { 'content-type': 'application/json' });
			response.end(typeof body === 'string' ? body : JSON.stringify({ ...(body ?? {}), status: 'success', data: body, error: null }));
		});
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const address = server.address();
	const port = typeof address === 'object' && address ? address.port : 0;
	return {
		url: `http://127.0.0.1:${port}`,
		log,
		close: async () => {
			server.closeAllConnections();
			server.close();
			await once(server, 'close');
		},
	};
};
