import type { Connection } from './connection.ts';
import { cpuMs } from './processes.ts';

/** Requests without end, and what each answer has to be like. */
export type Load = {
	next(): Buffer;
	/** Something every answer holds; looked for in one of 64, the status in all. */
	readonly expect: string;
};

/** What a stretch of load came to. */
export type Stretch = {
	readonly perSecond: number;
	readonly count: number;
	/** Processor time per request in milliseconds, of each of the processes asked about. */
	readonly cpuPerRequest: readonly number[];
	/** Cores in use: first the client, then those processes. */
	readonly cores: readonly number[];
};

/** Watches processor time; call what it returns at the end. */
export const watchCpu = (pids: readonly number[]) => {
	const startedAt = performance.now();
	const own = process.cpuUsage();
	const before = pids.map(cpuMs);
	return (count: number): Stretch => {
		const ms = performance.now() - startedAt;
		const used = process.cpuUsage(own);
		const others = pids.map((pid, index) => cpuMs(pid) - (before[index] ?? 0));
		return {
			count,
			perSecond: (count * 1000) / ms,
			cpuPerRequest: others.map((each) => each / count),
			cores: [(used.user + used.system) / 1000, ...others].map((each) => each / ms),
		};
	};
};

/** Closed loop: each connection sends its next request when the last is answered. */
export const drive = (connections: readonly Connection[], load: Load, seconds: number, pids: readonly number[]): Promise<Stretch> =>
	new Promise((resolve, reject) => {
		let count = 0;
		let open = connections.length;
		let stretch: Stretch | null = null;
		const finish = watchCpu(pids);
		setTimeout(() => {
			stretch = finish(count);
		}, seconds * 1000);
		for (const connection of connections) {
			const answered = (): void => {
				count++;
				if (connection.status !== 200 || (count % 64 === 0 && !connection.text().includes(load.expect))) {
					reject(new Error(`expected 200 with ${load.expect}, got ${connection.status}: ${connection.text().slice(0, 500)}`));
					return;
				}
				if (stretch === null) connection.send(load.next(), answered);
				else if (--open === 0) resolve(stretch);
			};
			connection.send(load.next(), answered);
		}
	});

/** Calls `send` `perSecond` times a second, evenly; what is late is sent at once. */
export const pace = (perSecond: number, seconds: number, send: () => Promise<void>): Promise<number> =>
	new Promise((resolve, reject) => {
		const startedAt = performance.now();
		let sent = 0;
		const timer = setInterval(() => {
			const elapsed = performance.now() - startedAt;
			for (; sent < (Math.min(elapsed, seconds * 1000) * perSecond) / 1000; sent++) send().catch(reject);
			if (elapsed < seconds * 1000) return;
			clearInterval(timer);
			resolve(sent);
		}, 5);
	});

export const median = (values: readonly number[]): number => {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};

/** The value below which this share (0 to 1) of the values lies: with 200 values, the 99th percentile is the third highest. */
export const quantile = (values: readonly number[], share: number): number => {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
};

/** Hands out the elements one after the other, for ever. */
export const inTurn = <T>(elements: readonly T[]): (() => T) => {
	let turn = 0;
	return () => elements[turn++ % elements.length] as T;
};
