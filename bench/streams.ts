import { request as ask, type ClientRequest, type IncomingMessage } from 'node:http';
import { httpApi } from '../src/contract/http-client.ts';
import { systemClock } from '../src/deps.ts';
import { watchCpu } from './drive.ts';
import { type Line, onDatabase } from './report.ts';
import { registration } from './requests.ts';
import { type BenchDatabase, type DatabaseName, startDaemon, startDatabase } from './servers.ts';
import { nextInstanceId, populate, type World } from './world.ts';

/** How many streams of one daemon, over the ten clients; how many agents there are beside them, and how long each idle time is watched. */
export type StreamsSize = { readonly streams: number; readonly seconds: number };

const AGENTS = 100;

type Stream = { readonly token: string; readonly answer: IncomingMessage; readonly sent: ClientRequest; text: string };

/** Opens a stream and waits for its first event. */
const open = (port: number, token: string): Promise<Stream> =>
	new Promise((resolve, reject) => {
		const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' };
		const sent = ask({ host: '127.0.0.1', port, path: '/api/events/stream', headers, agent: false }, (answer) => {
			if (answer.statusCode !== 200) reject(new Error(`a stream was answered ${answer.statusCode}`));
			const stream: Stream = { token, answer, sent, text: '' };
			answer.setEncoding('utf8').on('data', (text: string) => {
				stream.text += text;
				if (stream.text.includes('event: connected')) resolve(stream);
			});
			answer.once('error', () => undefined);
		});
		sent.once('error', reject);
		sent.end();
	});

/** Statements the server has carried out; SQLite counts none. */
const statementsOf = async ({ name, query }: BenchDatabase): Promise<number | null> =>
	name === 'sqlite' ? null : Number((await query("show global status like 'Questions'"))[0]?.['Value']);

/** What daemon and database do while nobody calls: cores, and statements a second where the database counts them. */
const idle = async ({ daemon, database }: World, seconds: number) => {
	const [before, finish] = [await statementsOf(database), watchCpu([daemon.pid, ...database.pids])];
	await systemClock.sleep(seconds * 1000);
	const { cores } = finish(1);
	const after = await statementsOf(database);
	return {
		cores: cores.slice(1).reduce((sum, each) => sum + each, 0),
		statements: before === null || after === null ? null : (after - before) / seconds,
	};
};

/** Registers an agent of a client and waits until every stream of that client has heard of it; the streams of others must not. */
const tellOne = async (world: World, streams: readonly Stream[]): Promise<number> => {
	const [agent] = world.agents;
	if (agent === undefined) throw new Error('no agent');
	const from = performance.now();
	const machine = { ...agent, logicalId: `heard-${from}`, instanceId: nextInstanceId() };
	const answer = await fetch(`http://127.0.0.1:${world.daemon.port}/api/agents/register`, {
		method: 'POST',
		headers: { authorization: `Bearer ${agent.token}`, 'content-type': 'application/json' },
		body: JSON.stringify(registration(machine)),
	});
	if (answer.status !== 200) throw new Error(`register answered ${answer.status}`);
	const own = streams.filter(({ token }) => token === agent.token);
	const told = (stream: Stream): boolean => stream.text.includes(machine.logicalId);
	for (;;) {
		if (own.every(told)) break;
		if (performance.now() - from > 10_000) throw new Error(`only ${own.filter(told).length} of ${own.length} streams heard of it`);
		await systemClock.sleep(1);
	}
	const ms = performance.now() - from;
	// One that should not hear of it may hear of it later.
	await systemClock.sleep(300);
	const strangers = streams.filter((stream) => stream.token !== agent.token && told(stream)).length;
	if (strangers > 0) throw new Error(`${strangers} streams of other clients heard of it`);
	return ms;
};

/** What many open event streams cost one daemon (issue 4): nothing while nothing happens, and one write each when something does. */
export const measureStreams = async (
	name: DatabaseName,
	folder: string,
	nodeArgs: readonly string[],
	{ streams: count, seconds }: StreamsSize,
	say: (text: string) => void,
): Promise<{ readonly lines: Line[]; readonly title: string }> => {
	const database = await startDatabase(name, folder);
	const daemon = await startDaemon(database, folder, nodeArgs);
	const streams: Stream[] = [];
	const hangUp = (): void => {
		for (const { answer, sent } of streams) {
			answer.destroy();
			sent.destroy();
		}
	};
	try {
		const world = await populate(database, daemon, AGENTS);
		const api = httpApi(daemon.url, daemon.adminToken);
		const none = await idle(world, seconds);
		say(`${database.title}: opening ${count} streams`);
		const tokens = [...new Set(world.agents.map(({ token }) => token))];
		while (streams.length < count) {
			const batch = Array.from(
				{ length: Math.min(50, count - streams.length) },
				(_, index) => tokens[(streams.length + index) % tokens.length],
			);
			streams.push(...(await Promise.all(batch.map((token) => open(daemon.port, token ?? '')))));
		}
		const many = await idle(world, seconds);
		const times: number[] = [];
		for (let run = 0; run < 20; run++) times.push(await tellOne(world, streams));
		hangUp();
		const after = await idle(world, seconds);
		const least = {
			cores: Math.min(none.cores, after.cores),
			statements: none.statements === null || after.statements === null ? null : Math.min(none.statements, after.statements),
		};
		if ((await api.listClients({ limit: 1 })).items.length !== 1) throw new Error('the daemon does not answer any more');
		const percent = (cores: number): string => `${(cores * 100).toFixed(2)} %`;
		const perSecond = (statements: number | null): string => (statements === null ? '' : `, ${statements.toFixed(1)} statements/s`);
		const sorted = [...times].sort((a, b) => a - b);
		const own = Math.round(count / tokens.length);
		return {
			title: database.title,
			lines: [
				{
					work: `${count.toLocaleString('en-US')} open event streams, nothing happens for ${seconds} s, ${onDatabase[name]}`,
					floor: `${percent(least.cores)}${perSecond(least.statements)} without, the less of before and after`,
					ours: `${percent(many.cores)}${perSecond(many.statements)}`,
					figure: `${percent(many.cores - least.cores)} of a core more`,
					target: 'no polling per stream',
					// A look of each stream every second would be a thousand statements; what others do in the background swings by less than one.
					met: many.statements === null || least.statements === null ? null : many.statements < least.statements + 5,
					each: '',
					cores: '',
				},
				{
					work: `one event to ${own} of ${count.toLocaleString('en-US')} streams, those of its client and no other, ${onDatabase[name]}`,
					floor: '',
					ours: `median ${(sorted[10] ?? 0).toFixed(0)} ms, longest ${(sorted.at(-1) ?? 0).toFixed(0)} ms`,
					figure: `${own * times.length} of ${own * times.length} heard`,
					target: 'all',
					met: true,
					each: '',
					cores: '',
				},
			],
		};
	} finally {
		hangUp();
		await daemon.stop();
		await database.stop();
	}
};
