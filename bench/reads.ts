import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { httpApi } from '../src/contract/http-client.ts';
import { type Api, operations } from '../src/contract/index.ts';
import { type Operation, pathParameters } from '../src/contract/operation.ts';
import type { Connection } from './connection.ts';
import { quantile, watchCpu } from './drive.ts';
import { memoryMb } from './processes.ts';
import { fillHistory, type ReadsSize } from './reads-fill.ts';
import { csvLine, readLine } from './reads-report.ts';
import type { Line } from './report.ts';
import { request } from './requests.ts';
import { type DatabaseName, forkServer, type Server, startDaemon, startDatabase } from './servers.ts';
import { finishJob, openConnections, populate } from './world.ts';

/** What the issue measures reads at. */
const CONNECTIONS = 8;

/** Milliseconds from a request to its whole answer. */
export type Reads = {
	readonly p50: number;
	readonly p99: number;
	readonly longest: number;
	/** Processor time of a request, of each process asked about: what other work on the machine does not change. */
	readonly cpu: readonly number[];
};

/** A CSV as it streamed, with the daemon's memory (MB). */
export type Streamed = {
	readonly lines: number;
	readonly megabytes: number;
	readonly seconds: number;
	readonly before: number;
	readonly highest: number;
	readonly after: number;
};

/** Closed loop on every connection: `seconds` long, but at least five requests each. */
const timeReads = (connections: readonly Connection[], next: () => Buffer, seconds: number, pids: readonly number[]): Promise<Reads> =>
	new Promise((resolve, reject) => {
		const times: number[] = [];
		const until = performance.now() + seconds * 1000;
		let open = connections.length;
		const finish = watchCpu(pids);
		for (const connection of connections) {
			let sent = 0;
			const send = (): void => {
				const at = performance.now();
				sent++;
				connection.send(next(), () => {
					times.push(performance.now() - at);
					if (connection.status !== 200) {
						reject(new Error(`answered ${connection.status}: ${connection.text().slice(0, 300)}`));
						return;
					}
					if (performance.now() < until || sent < 5) send();
					else if (--open === 0)
						resolve({
							p50: quantile(times, 0.5),
							p99: quantile(times, 0.99),
							longest: Math.max(...times),
							cpu: finish(times.length).cpuPerRequest,
						});
				});
			};
			send();
		}
	});

const measured = async (port: number, next: () => Buffer, seconds: number, pids: readonly number[]): Promise<Reads> => {
	const { connections, during, close } = await openConnections(port, CONNECTIONS);
	try {
		await during(timeReads(connections, next, seconds / 4, pids));
		return await during(timeReads(connections, next, seconds, pids));
	} finally {
		close();
	}
};

/** Reads that are no list of things: the daemon's own state, and what is long on purpose. */
const isMeasured = ({ method, path, daemonOnly, id }: Operation): boolean =>
	method === 'GET' && !daemonOnly && !/\/export\/|\/stream$/.test(path) && id !== 'clients.validate';

type Ids = Readonly<Record<string, string>>;

const pathOf = ({ path }: Operation, ids: Ids): string | null =>
	pathParameters(path).every((name) => ids[name] !== undefined)
		? path.replace(/\{([a-z_]+)\}/g, (_, name: string) => encodeURIComponent(ids[name] ?? ''))
		: null;

/** So many different questions of a route go round, twice as many as there are connections. */
const APART = 16;

/**
 * The same route asked of other clients, agents and machines, or for a page a row shorter: nobody can share an answer. What speaks of the whole
 * fleet is one question.
 */
const apartOf = (operation: Operation, path: string, others: readonly Ids[], text: string): string[] => {
	const [bare = '', query = ''] = path.split('?');
	const count = Number((JSON.parse(text) as { count?: unknown }).count ?? 0);
	const paths = others.map((ids, at) => {
		const asked = new URLSearchParams(query);
		if ('limit' in operation.input.shape && count > 0) asked.set('limit', String(Math.max(1, count - at)));
		if (asked.has('client_id')) asked.set('client_id', ids['client_id'] ?? '');
		return `${pathOf(operation, ids) ?? bare}${asked.size === 0 ? '' : `?${asked}`}`;
	});
	return [...new Set(paths)];
};

/** What the query must say, beside what the path names. */
const QUERY: Readonly<Record<string, string>> = { '/api/admin/search': 'q=bench-agent-1', '/api/search': 'q=bench-agent-1' };

const ask = (port: number, token: string, path: string): Promise<{ status: number; text: string }> =>
	new Promise((resolve, reject) => {
		const outgoing = httpRequest({ host: '127.0.0.1', port, path, headers: { authorization: `Bearer ${token}` } }, (incoming) => {
			let text = '';
			incoming.setEncoding('utf8');
			incoming.on('data', (chunk: string) => {
				text += chunk;
			});
			incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }));
		});
		outgoing.on('error', reject);
		outgoing.end();
	});

/** Reads a CSV to its end without keeping it. */
const stream = (daemon: Server, token: string, path: string): Promise<Streamed | null> =>
	new Promise((resolve, reject) => {
		const before = memoryMb(daemon.pid);
		const at = performance.now();
		let highest = before;
		const sampler = setInterval(() => {
			highest = Math.max(highest, memoryMb(daemon.pid));
		}, 20);
		const outgoing = httpRequest(
			{ host: '127.0.0.1', port: daemon.port, path, headers: { authorization: `Bearer ${token}` } },
			(incoming) => {
				let [lines, bytes] = [0, 0];
				incoming.on('data', (chunk: Buffer) => {
					bytes += chunk.length;
					for (const byte of chunk) if (byte === 10) lines++;
				});
				incoming.on('end', () => {
					clearInterval(sampler);
					const seconds = (performance.now() - at) / 1000;
					if (incoming.statusCode !== 200) resolve(null);
					else setTimeout(() => resolve({ lines, megabytes: bytes / 1e6, seconds, before, highest, after: memoryMb(daemon.pid) }), 2000);
				});
			},
		);
		outgoing.on('error', reject);
		outgoing.end();
	});

/** How many runs of the job sum ninety days of prices by hour, 500 hours each, and one for whatever was under way. */
const CATCH_UP = 6;

/** Lets the background work do what it would have done while this history was made: hours of prices, machines that have ended, the books. */
const catchUp = async (api: Api): Promise<void> => {
	for (const name of [...Array.from({ length: CATCH_UP }, () => 'price-hours'), 'machines', 'ledger']) await finishJob(api, name);
};

/** `clients`: among how many the agents and their history are divided. `apart`: no two connections ask for the same. */
export type ReadsAsked = {
	readonly agents: number;
	readonly clients: number;
	readonly size: ReadsSize;
	readonly seconds: number;
	readonly only: RegExp;
	readonly apart: boolean;
};

/** Every declared GET on one database that is full. */
export const measureReads = async (
	name: DatabaseName,
	folder: string,
	nodeArgs: readonly string[],
	{ agents, clients, size, seconds, only, apart }: ReadsAsked,
	say: (text: string) => void,
): Promise<{ lines: Line[]; title: string }> => {
	const database = await startDatabase(name, folder);
	try {
		say(`${database.title}: registering ${agents} agents`);
		const first = await startDaemon(database, folder, nodeArgs);
		const world = await populate(database, first, agents, clients);
		await first.stop();
		await fillHistory(world, database, size, say);
		const daemon = await startDaemon(database, folder, nodeArgs);
		await catchUp(httpApi(daemon.url, daemon.adminToken));
		const token = world.operatorToken;
		const one = async (sql: string): Promise<string> => String(Object.values((await database.query(sql))[0] ?? {})[0]);
		const busiest = async (table: string): Promise<string> =>
			one(`select client_id from ${table} group by client_id order by count(*) desc limit 1`);
		const [agent] = world.agents;
		if (agent === undefined) throw new Error('no agent');
		const clientId = await busiest('agent');
		const commandId = await one('select id from command limit 1');
		const idsOf = (client_id: string, { handle, instanceId }: typeof agent): Ids => ({
			client_id,
			agent_id: handle,
			instance_id: instanceId,
			command_id: commandId,
		});
		const ids = idsOf(clientId, agent);
		const all = (await database.query('select distinct client_id from agent')).map((row) => String(row['client_id']));
		const others = world.agents.slice(0, APART).map((each, at) => idsOf(all[at % all.length] ?? clientId, each));
		const lines: Line[] = [];
		const routes: Array<{ operation: Operation; paths: string[]; text: string }> = [];
		for (const operation of (Object.values(operations) as Operation[]).filter(isMeasured)) {
			const bare = pathOf(operation, ids);
			if (bare === null || !only.test(operation.path)) continue;
			const query = QUERY[operation.path];
			let path = query === undefined ? bare : `${bare}?${query}`;
			let answer = await ask(daemon.port, token, path);
			if (answer.text.includes('"CLIENT_REQUIRED"')) {
				path = `${path}${path.includes('?') ? '&' : '?'}client_id=${clientId}`;
				answer = await ask(daemon.port, token, path);
			}
			const paths = apart ? apartOf(operation, path, others, answer.text) : [path];
			if (answer.status === 200) routes.push({ operation, paths, text: answer.text });
			else if (answer.status !== 403) say(`${operation.path} is not measured: ${answer.status} ${answer.text.slice(0, 150)}`);
		}
		const floor = await forkServer(
			join(import.meta.dirname, 'reads-floor.ts'),
			routes.map(({ text }) => text),
		);
		for (const [number, { operation, paths, text }] of routes.entries()) {
			const onFloor = request('GET', `/${number}`, token);
			const onOurs = paths.map((path) => request('GET', path, token));
			let asked = 0;
			const next = (): Buffer => onOurs[asked++ % onOurs.length] ?? onFloor;
			const least = await measured(floor.port, () => onFloor, seconds / 2, [floor.pid]);
			const ours = await measured(daemon.port, next, seconds, [daemon.pid, ...database.pids]);
			const line = readLine(name, operation, text.length, apart ? paths.length : null, least, ours);
			lines.push(line);
			say(`${line.met === true ? '     ' : 'MISS '}${line.work}: ${line.ours}, ${line.figure}`);
		}
		await floor.stop();
		for (const operation of (Object.values(operations) as Operation[]).filter(({ path }) => /\/export\//.test(path) && only.test(path))) {
			const path = pathOf(operation, ids);
			const streamed = path === null ? null : await stream(daemon, token, path);
			if (streamed === null) continue;
			lines.push(csvLine(name, operation, streamed));
			say(`${operation.path}: ${lines.at(-1)?.figure}`);
		}
		await daemon.stop();
		return { lines, title: database.title };
	} finally {
		await database.stop();
	}
};
