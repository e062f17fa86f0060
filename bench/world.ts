import { httpApi } from '../src/contract/http-client.ts';
import type { Api } from '../src/contract/index.ts';
import { keptUntil } from '../src/core/ledger-book.ts';
import { systemClock } from '../src/deps.ts';
import { Connection } from './connection.ts';
import { type Agent, pricingReport, registration, request, ZONES } from './requests.ts';
import type { BenchDatabase, Daemon } from './servers.ts';

export const AGENTS = 1000;
export const CONNECTIONS = 32;
const CLIENTS = 10;
const TYPES = ['c5.large', 'c5.xlarge', 'm5.large', 'r5.large'];

/** A daemon on a database, with its fleet registered and prices for every pool. */
export type World = {
	readonly database: BenchDatabase;
	readonly daemon: Daemon;
	readonly agents: readonly Agent[];
	readonly operatorToken: string;
};

/** Connections to a server; the first thing that goes wrong on any of them rejects `failed`. */
export const openConnections = async (port: number, count = CONNECTIONS) => {
	let fail: (error: Error) => void = () => undefined;
	const failed = new Promise<never>((_, reject) => {
		fail = reject;
	});
	failed.catch(() => undefined);
	const connections = await Promise.all(Array.from({ length: count }, () => Connection.open(port, fail)));
	return {
		connections,
		/** Runs until `work` is done or a connection broke. */
		during: <T>(work: Promise<T>): Promise<T> => Promise.race([work, failed]),
		close: () => {
			for (const connection of connections) connection.close();
		},
	};
};

/** Sends one request on a connection of its own and returns the body of its answer. */
export const askOnce = async (port: number, bytes: Buffer): Promise<string> => {
	const { connections, during, close } = await openConnections(port, 1);
	const [connection] = connections;
	if (connection === undefined) throw new Error('no connection');
	await during(new Promise<void>((done) => connection.send(bytes, done)));
	const text = connection.text();
	close();
	if (connection.status !== 200) throw new Error(`${connection.status}: ${text}`);
	return text;
};

const instanceIds = (): (() => string) => {
	let number = 0;
	return () => `i-${(0xbe0000000000 + number++).toString(16).padStart(17, '0')}`;
};

/** Ids of machines launched in this run, never the same twice. */
export const nextInstanceId = instanceIds();

/** Registers agents of some clients and reports the prices of all their pools. */
export const populate = async (database: BenchDatabase, daemon: Daemon, count = AGENTS, clients = CLIENTS): Promise<World> => {
	const admin = httpApi(daemon.url, daemon.adminToken);
	const { token: operatorToken } = await admin.createAdminToken({ name: 'bench', scope: 'operate' });
	const tokens: string[] = [];
	for (let index = 0; index < clients; index++) {
		const { client } = await admin.createClient({ name: `bench-${index}` });
		tokens.push(client.token);
	}
	const agents = Array.from(
		{ length: count },
		(_, index): Agent => ({
			token: tokens[index % clients] ?? '',
			logicalId: `bench-agent-${index}`,
			id: '',
			instanceType: TYPES[index % TYPES.length] ?? '',
			zone: index % ZONES.length,
			instanceId: nextInstanceId(),
			handle: '',
		}),
	);
	const { connections, during, close } = await openConnections(daemon.port);
	const waiting = [...agents];
	await during(
		Promise.all(
			connections.map(async (connection) => {
				for (let agent = waiting.pop(); agent !== undefined; agent = waiting.pop()) {
					const { status, body } = await connection.ask(request('POST', '/api/agents/register', agent.token, registration(agent)));
					if (status !== 200) throw new Error(`register answered ${status}: ${JSON.stringify(body)}`);
					agent.handle = String(body['agent_id']);
					agent.id = agent.handle;
				}
			}),
		),
	);
	close();
	for (const agent of agents.slice(0, TYPES.length)) await askOnce(daemon.port, pricingReport(agent)());
	return { database, daemon, agents, operatorToken };
};

/** Has a job run, and waits until it has. */
export const finishJob = async (api: Api, name: string): Promise<void> => {
	const runs = async (): Promise<number> => (await api.listJobs({})).items.find((each) => each.name === name)?.runs ?? 0;
	const before = await runs();
	await api.runJob({ name });
	while ((await runs()) <= before) await systemClock.sleep(200);
};

/** How far the books are behind, and a second. */
const BOOKS_LAG_MS = 1_000 - keptUntil(0);

/** Waits until the books hold everything that was sent; returns how long that took, seconds. */
export const finishBooks = async ({ daemon }: Pick<World, 'daemon'>): Promise<number> => {
	const from = performance.now();
	await systemClock.sleep(BOOKS_LAG_MS);
	await finishJob(httpApi(daemon.url, daemon.adminToken), 'ledger');
	return (performance.now() - from) / 1000;
};
