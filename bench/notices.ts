import { pace, quantile } from './drive.ts';
import { mixedLoad, sendOn } from './memory.ts';
import type { Raw } from './raw.ts';
import type { Agent } from './requests.ts';
import { type expectPromoted, notice, type Standby } from './standbys.ts';
import { openConnections } from './world.ts';

/** Routine requests a second beside the notices. */
export const ROUTINE = 200;
/** Notices a second; each for itself, not a storm. */
const NOTICES = 25;
const CONNECTIONS = 16;

/** What notices took, milliseconds from sending to the whole answer. */
export type Latency = { readonly median: number; readonly p99: number; readonly longest: number };

const latencyOf = (times: readonly number[]): Latency => ({
	median: quantile(times, 0.5),
	p99: quantile(times, 0.99),
	longest: Math.max(...times),
});

/** Sends `count` notices in time, each by `send`. */
const paced = async (count: number, send: (index: number) => Promise<void>): Promise<Latency> => {
	const times: number[] = [];
	let next = 0;
	const flights: Promise<void>[] = [];
	await pace(NOTICES, count / NOTICES, () => {
		const flight = (async (): Promise<void> => {
			const index = next++;
			if (index >= count) return;
			const sentAt = performance.now();
			await send(index);
			times.push(performance.now() - sentAt);
		})();
		flights.push(flight);
		return flight;
	});
	await Promise.all(flights);
	return latencyOf(times);
};

/** Notices of agents with ready replicas while `routine` agents send what agents send; `check` looks at each answer. */
export const timeNotices = async (
	port: number,
	standbys: readonly Standby[],
	routine: readonly Agent[],
	check: typeof expectPromoted | null,
): Promise<Latency> => {
	const background = await openConnections(port);
	const { connections, during, close } = await openConnections(port, CONNECTIONS);
	const free = [...connections];
	const seconds = standbys.length / NOTICES;
	const one = async (index: number): Promise<void> => {
		const [connection, standby] = [free.shift(), standbys[index]];
		if (connection === undefined || standby === undefined) throw new Error(`${CONNECTIONS} notices are still unanswered`);
		await new Promise<void>((done) => connection.send(notice(standby.agent), done));
		const { status } = connection;
		const text = connection.text();
		free.push(connection);
		check?.(standby, status, text);
	};
	const around = pace(ROUTINE, seconds, sendOn(background.connections, mixedLoad(routine)));
	try {
		const [latency] = await during(Promise.all([paced(standbys.length, one), background.during(around)]));
		return latency;
	} finally {
		close();
		background.close();
	}
};

/** The same number of transactions at the same distances, with nothing else going on. */
export const timeRaw = (raw: Raw, count: number): Promise<Latency> => paced(count, (index) => raw.promote(index));

/** A storm: what it took until the last was answered, and half of them. */
export type Crowd = { readonly last: number; readonly median: number };

/** All notices at once, each on a connection of its own, as each agent has one. */
export const storm = async (port: number, standbys: readonly Standby[], check: typeof expectPromoted | null): Promise<Crowd> => {
	const { connections, during, close } = await openConnections(port, standbys.length);
	const requests = standbys.map(({ agent }) => notice(agent));
	const times: number[] = [];
	try {
		const beganAt = performance.now();
		const answers = connections.map(
			(connection, index) =>
				new Promise<void>((done) => {
					connection.send(requests[index] ?? Buffer.alloc(0), () => {
						times.push(performance.now() - beganAt);
						done();
					});
				}),
		);
		await during(Promise.all(answers));
		for (const [index, connection] of connections.entries()) {
			const standby = standbys[index];
			if (standby !== undefined) check?.(standby, connection.status, connection.text());
		}
		return { last: Math.max(...times), median: quantile(times, 0.5) };
	} finally {
		close();
	}
};

export const stormRaw = async (raw: Raw, count: number): Promise<Crowd> => {
	const times: number[] = [];
	const beganAt = performance.now();
	await Promise.all(
		Array.from({ length: count }, async (_, index) => {
			await raw.promote(index);
			times.push(performance.now() - beganAt);
		}),
	);
	return { last: Math.max(...times), median: quantile(times, 0.5) };
};
