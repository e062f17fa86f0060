import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { SimClock } from '../../src/fleet/clock.ts';
import { SimThread } from '../../src/fleet/thread.ts';

const start = 1_000_000;

test('runs tasks in order of time, then of arrival, each to its end before the next', async () => {
	const clock = new SimClock({ start });
	const seen: string[] = [];
	const task = (name: string) => async () => {
		seen.push(`${name} at ${clock.now() - start}`);
		await delay(1);
		seen.push(`${name} done`);
	};
	clock.schedule(20, task('late'));
	clock.schedule(10, task('first'));
	clock.schedule(10, task('second'));
	await clock.runUntil(start + 15);
	expect(seen).toEqual(['first at 10', 'first done', 'second at 10', 'second done']);
	expect(clock.now()).toBe(start + 15);
	await clock.runFor(5);
	expect(seen.slice(4)).toEqual(['late at 20', 'late done']);
});

test('does not run what was cancelled', async () => {
	const clock = new SimClock({ start });
	const seen: string[] = [];
	const first = clock.schedule(1, () => seen.push('first'));
	clock.schedule(2, () => seen.push('second'));
	clock.cancel(first);
	await clock.runFor(10);
	expect(seen).toEqual(['second']);
	expect(await clock.step()).toBe(false);
});

test('calls onEvent after every task, at its instant', async () => {
	const events: string[] = [];
	const clock = new SimClock({ start, onEvent: ({ at, name }) => void events.push(`${name} ${at - start}`) });
	clock.schedule(5, () => clock.schedule(5, () => undefined, 'inner'), 'outer');
	await clock.runFor(100);
	expect(events).toEqual(['outer 5', 'inner 10']);
});

test('lets an error in a task end the run', async () => {
	for (const concurrency of [1, 4]) {
		const clock = new SimClock({ start, concurrency });
		clock.schedule(1, () => Promise.reject(new Error('broken')));
		await expect(clock.runFor(10)).rejects.toThrow('broken');
	}
});

test('interleaves threads at their sleeps only', async () => {
	const clock = new SimClock({ start });
	const seen: string[] = [];
	for (const name of ['a', 'b']) {
		new SimThread(clock, name, async (thread) => {
			for (const turn of [1, 2]) {
				seen.push(`${name}${turn}`);
				await delay(1);
				seen.push(`${name}${turn}'`);
				await thread.sleep(10);
			}
		});
	}
	await clock.runFor(100);
	expect(seen).toEqual(['a1', "a1'", 'b1', "b1'", 'a2', "a2'", 'b2', "b2'"]);
});

test('leaves a killed thread where it was, asleep or in a call', async () => {
	const clock = new SimClock({ start });
	const seen: string[] = [];
	const sleeper = new SimThread(clock, 'sleeper', async (thread) => {
		await thread.sleep(10);
		seen.push('woke');
	});
	const caller = new SimThread(clock, 'caller', async (thread) => {
		await delay(1);
		if (!thread.alive) return thread.halt();
		seen.push('answered');
		await thread.sleep(10);
		seen.push('went on');
	});
	clock.schedule(5, () => {
		sleeper.kill();
		caller.kill();
	});
	await clock.runFor(100);
	expect(seen).toEqual(['answered']);
	expect(sleeper.alive).toBe(false);
});

test('with a concurrency keeps tasks within the window and at most so many under way', async () => {
	const clock = new SimClock({ start, concurrency: 3, windowMs: 10 });
	let flying = 0;
	let most = 0;
	const begun: number[] = [];
	for (const at of [0, 1, 2, 3, 50, 51]) {
		clock.schedule(at, async () => {
			begun.push(at);
			most = Math.max(most, ++flying);
			await delay(2);
			flying--;
		});
	}
	await clock.runFor(60);
	expect(begun).toEqual([0, 1, 2, 3, 50, 51]);
	expect(most).toBe(3);
});

test('runs a program on simulated time: sleep, every, after, abort', async () => {
	const clock = new SimClock({ start });
	const deps = clock.asDepsClock();
	const seen: string[] = [];
	const stop = deps.every(10, () => seen.push(`tick ${deps.now() - start}`));
	deps.after(25, () => seen.push('after'));
	const cancel = deps.after(26, () => seen.push('never'));
	cancel();
	void deps.sleep(15).then(() => seen.push('slept'));
	const aborted = deps.sleep(1_000, AbortSignal.abort(new Error('over')));
	await expect(aborted).rejects.toThrow('over');
	const controller = new AbortController();
	const waiting = deps.sleep(1_000, controller.signal);
	await clock.runFor(30);
	controller.abort(new Error('stopped'));
	await expect(waiting).rejects.toThrow('stopped');
	stop();
	await clock.runFor(5_000);
	expect(seen).toEqual(['tick 10', 'slept', 'tick 20', 'after', 'tick 30']);
	expect(clock.stats.stalls).toBe(0);
});

test('fires a timer early when a task waits for the program that set it', async () => {
	const clock = new SimClock({ start, stallMs: 20 });
	const deps = clock.asDepsClock();
	const seen: string[] = [];
	clock.schedule(1, async () => {
		await deps.sleep(40);
		seen.push(`answered at ${clock.now() - start}`);
	});
	await clock.runFor(10);
	expect(seen).toEqual(['answered at 41']);
	expect(clock.stats.stalls).toBe(1);
});

test('passes at a speed in real time, and wakes for what is scheduled meanwhile', async () => {
	const clock = new SimClock({ start });
	const controller = new AbortController();
	const seen: number[] = [];
	clock.schedule(500, () => seen.push(clock.now() - start));
	const begun = performance.now();
	const run = clock.runRealTime(100, controller.signal);
	await delay(40);
	clock.schedule(0, () => seen.push(-1));
	await delay(40);
	controller.abort();
	await run;
	const passed = clock.now() - start;
	expect(passed).toBeGreaterThan(60 * 100);
	expect(passed).toBeLessThan((performance.now() - begun) * 100 + 1_000);
	expect(seen).toHaveLength(2);
	expect(seen[0]).toBeGreaterThanOrEqual(500);
});

test('in real time the wire may carry real instants, as far apart as a program on real time sees them', async () => {
	const clock = new SimClock({ start, realStamps: true });
	expect(clock.utc(start + 120_000)).toBe(start + 120_000);
	const controller = new AbortController();
	const run = clock.runRealTime(30, controller.signal);
	const now = clock.now();
	expect(Math.abs(clock.utc(now) - Date.now())).toBeLessThan(50);
	expect(clock.utc(now + 120_000) - clock.utc(now)).toBe(4_000);
	controller.abort();
	await run;
});

test('a real-time run ends with the error of a task', async () => {
	const clock = new SimClock({ start });
	clock.schedule(1, () => Promise.reject(new Error('broken')));
	await expect(clock.runRealTime(1_000, new AbortController().signal)).rejects.toThrow('broken');
});
