import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type Daemon, startDaemon as startReal } from '../../daemon/daemon.ts';
import { loadConfig, type PartialSettings } from '../../src/config/load.ts';
import { httpApi } from '../../src/contract/http-client.ts';
import type { Api } from '../../src/contract/index.ts';
import { createCore, ensureAdminToken } from '../../src/core/index.ts';
import { systemClock, systemIds } from '../../src/deps.ts';
import { openLog } from '../../src/log.ts';
import { temporaryFolder } from './folders.ts';

export type Sent = {
	readonly method?: string;
	/** Sent as it is: nothing is encoded, and no dots are resolved. */
	readonly path: string;
	readonly token?: string | null;
	readonly headers?: Readonly<Record<string, string>>;
	/** An object is sent as JSON; text as it is. */
	readonly body?: object | string;
};

export type Answer = {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly text: string;
	/** The parsed body, or an empty object when it is no JSON. */
	readonly body: Record<string, unknown>;
};

/** A real daemon over the real core, on a free port, with the real clock. */
export type TestDaemon = {
	readonly url: string;
	readonly daemon: Daemon;
	readonly stateDir: string;
	/** The admin token it made at its first start. */
	readonly admin: string;
	/** The product over HTTP as admin. */
	readonly api: Api;
	apiAs(token: string): Api;
	send(sent: Sent): Promise<Answer>;
	log(): string;
	stop(): Promise<void>;
};

const parsed = (text: string): Record<string, unknown> => {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
	} catch {
		return {};
	}
};

const connections = new Agent({ keepAlive: true, maxSockets: 32 });

/** One request exactly as it was meant: `fetch` would resolve dots, encode characters and refuse bodies of a GET. */
export const send = (base: string, { method = 'GET', path, token = null, headers = {}, body }: Sent): Promise<Answer> =>
	new Promise((accept, reject) => {
		const { hostname, port } = new URL(base);
		const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
		const outgoing = request(
			{
				hostname,
				port,
				method,
				path,
				agent: connections,
				headers: {
					...(token === null ? {} : { authorization: `Bearer ${token}` }),
					...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) }),
					...headers,
				},
			},
			(incoming) => {
				const chunks: Buffer[] = [];
				incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
				incoming.on('error', reject);
				incoming.on('end', () => {
					const text = Buffer.concat(chunks).toString('utf8');
					accept({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, body: parsed(text) });
				});
			},
		);
		outgoing.on('error', reject);
		outgoing.end(payload);
	});

const running = new Set<TestDaemon>();

/** Stops every daemon of this file that still runs; for `afterEach` or `afterAll`. */
export const stopDaemons = async (): Promise<void> => {
	for (const daemon of [...running]) await daemon.stop();
};

/** Starts a daemon on a database; null is SQLite in its state folder. Without a state folder it has one of its own that goes after the last test. */
export const startDaemon = async (
	databaseUrl: string | null,
	{ flags = {}, stateDir }: { flags?: PartialSettings; stateDir?: string } = {},
): Promise<TestDaemon> => {
	const folder = stateDir ?? temporaryFolder('state');
	const { config } = await loadConfig({
		flags: { stateDir: folder, 'server.port': 0, 'database.url': databaseUrl ?? undefined, 'database.migrate': true, ...flags },
		env: {},
		cwd: folder,
		home: folder,
		systemFile: join(folder, 'none.yaml'),
	});
	const lines: string[] = [];
	const stream = new Writable({
		write: (chunk, _, done) => {
			lines.push(String(chunk));
			done();
		},
	});
	const { log } = await openLog({ level: 'debug', format: 'json', stream, now: systemClock.now });
	const daemon = await startReal({
		config,
		version: '0.0.0-test',
		clock: systemClock,
		ids: systemIds,
		log,
		parts: { createCore, ensureAdminToken },
	});
	const admin = daemon.admin.kind === 'file' ? readFileSync(join(folder, 'admin-token'), 'utf8').trim() : '';
	const test: TestDaemon = {
		url: daemon.url,
		daemon,
		stateDir: folder,
		admin,
		api: httpApi(daemon.url, admin),
		apiAs: (token) => httpApi(daemon.url, token),
		send: (sent) => send(daemon.url, sent),
		log: () => lines.join(''),
		stop: async () => {
			running.delete(test);
			await daemon.stop();
		},
	};
	running.add(test);
	return test;
};

/** What an agent says of itself when it registers, in the shape of the classic one. */
export const machine = (instanceId: string, more: object = {}) => ({
	logical_agent_id: `agent-of-${instanceId}`,
	instance_id: instanceId,
	instance_type: 'c5.large',
	region: 'us-east-1',
	az: 'us-east-1a',
	mode: 'spot',
	hostname: 'host',
	ami_id: 'ami-0123456789abcdef0',
	agent_version: '4.0.0',
	private_ip: '10.0.0.1',
	public_ip: null,
	...more,
});

/** A pricing report of the classic agent with these spot prices by zone. */
export const classicPrices = (spot: Readonly<Record<string, number>>, more: object = {}) => ({
	instance: { instance_type: 'c5.large', region: 'us-east-1', az: 'us-east-1a', mode: 'spot', pool_id: 'c5.large.us-east-1a' },
	pricing: {
		on_demand_price: 0.085,
		current_spot_price: spot['us-east-1a'] ?? null,
		cheapest_pool: null,
		spot_pools: Object.entries(spot).map(([az, price]) => ({ pool_id: `c5.large.${az}`, instance_type: 'c5.large', az, price })),
		collected_at: new Date().toISOString(),
		...more,
	},
});
