import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimClock } from '../../src/fleet/clock.ts';
import { Ec2 } from '../../src/fleet/ec2.ts';
import { AWS, type LaunchOrder, OPERATOR } from '../../src/fleet/ec2-types.ts';
import { createRandom } from '../../src/fleet/random.ts';

const start = Date.UTC(2026, 0, 5);
const zones = ['us-east-1a', 'us-east-1b'];
const image = { id: 'ami-1', agent: 'classic', logicalAgentId: 'one' };
const order: LaunchOrder = { instanceType: 'c5.large', az: 'us-east-1a', mode: 'spot', image, by: OPERATOR, reason: 'test' };

const create = () => {
	const clock = new SimClock({ start });
	const ec2 = new Ec2({
		clock,
		random: createRandom(3),
		zones,
		launchMs: [1_000, 1_000],
		bootMs: [20_000, 20_000],
		statusOkMs: [60_000, 60_000],
	});
	const seen: string[] = [];
	const note = (what: string) => () => void seen.push(`${what} ${(clock.now() - start) / 1_000}`);
	ec2.watch({ running: note('running'), shuttingDown: note('shutting down'), terminated: note('terminated') });
	return { clock, ec2, seen, wait: (ms: number) => clock.runFor(ms) };
};

test('a launched machine has an id after the launch delay, runs after the boot delay and passes its checks later', async () => {
	const { clock, ec2, seen, wait } = create();
	const id = await ec2.launch(order, wait);
	expect(id).toMatch(/^i-[0-9a-f]{17}$/);
	expect(clock.now()).toBe(start + 1_000);
	expect(ec2.describe(id)).toMatchObject({ state: 'pending', launchedAt: start, runningAt: null, mode: 'spot', az: 'us-east-1a' });
	await clock.runFor(19_000);
	expect(ec2.describe(id).state).toBe('running');
	expect(ec2.statusOk(id)).toBe(false);
	await clock.runFor(60_000);
	expect(ec2.statusOk(id)).toBe(true);
	expect(seen).toEqual(['running 20']);
	expect(ec2.ledger).toMatchObject([{ kind: 'launch', at: start, instanceId: id, by: OPERATOR, reason: 'test' }]);
});

test('a pool without capacity, an unknown zone and an ordered refusal end a launch after its delay', async () => {
	const { clock, ec2, wait } = create();
	ec2.setCapacity('c5.large.us-east-1a', false);
	await expect(ec2.launch(order, wait)).rejects.toMatchObject({ code: 'InsufficientInstanceCapacity' });
	expect(clock.now()).toBe(start + 1_000);
	await expect(ec2.launch({ ...order, mode: 'ondemand' }, wait)).resolves.toMatch(/^i-/);
	await expect(ec2.launch({ ...order, az: 'us-east-1b' }, wait)).resolves.toMatch(/^i-/);
	await expect(ec2.launch({ ...order, az: 'N/A' }, wait)).rejects.toMatchObject({ code: 'InvalidParameterValue' });
	await expect(ec2.launch({ ...order, az: null, refuse: 'Unsupported' }, wait)).rejects.toMatchObject({ code: 'Unsupported' });
	ec2.setCapacity('c5.large.us-east-1a', true);
	await expect(ec2.launch(order, wait)).resolves.toMatch(/^i-/);
	expect(ec2.ledger.map(({ kind }) => kind)).toEqual(['refused', 'launch', 'launch', 'refused', 'refused', 'launch']);
});

test('a terminated machine shuts down first, is gone after that, and asking again is not a second termination', async () => {
	const { clock, ec2, seen } = create();
	const { id } = ec2.place(order, { running: true });
	expect(ec2.terminate(id, OPERATOR, 'first')).toEqual({ previous: 'running', current: 'shutting-down' });
	expect(ec2.terminate(id, AWS, 'second')).toEqual({ previous: 'shutting-down', current: 'shutting-down' });
	await clock.runFor(5_000);
	expect(ec2.terminate(id, AWS, 'third')).toEqual({ previous: 'terminated', current: 'terminated' });
	expect(seen).toEqual(['running 0', 'shutting down 0', 'terminated 5']);
	expect(ec2.ledger.filter(({ kind }) => kind === 'terminate')).toMatchObject([{ instanceId: id, by: OPERATOR, reason: 'first' }]);
});

test('a machine terminated while it boots never runs', async () => {
	const { clock, ec2, seen } = create();
	const { id } = ec2.place(order);
	await clock.runFor(10_000);
	ec2.terminate(id, OPERATOR, 'test');
	await clock.runFor(60_000);
	expect(seen).toEqual(['shutting down 10', 'terminated 15']);
});

test('unknown and malformed ids, and a machine an agent may not end, answer as AWS does', () => {
	const { ec2 } = create();
	expect(() => ec2.describe('i-0123456789abcdef0')).toThrow(expect.objectContaining({ code: 'InvalidInstanceID.NotFound' }));
	expect(() => ec2.terminate('replica-12345678', OPERATOR, 'test')).toThrow(
		expect.objectContaining({ code: 'InvalidInstanceID.Malformed' }),
	);
	const { id } = ec2.place(order, { running: true });
	ec2.lockTermination(id, true);
	const agent = { kind: 'agent', instanceId: id, agentId: 'a' } as const;
	expect(() => ec2.terminate(id, agent, 'test')).toThrow(expect.objectContaining({ code: 'UnauthorizedOperation' }));
	expect(ec2.ledger).toHaveLength(1);
});

test('notices show from their time on; AWS ends the machine at the deadline unless the notice is taken back', async () => {
	const { clock, ec2, seen } = create();
	const { id } = ec2.place(order, { running: true });
	const { id: spared } = ec2.place(order, { running: true });
	ec2.notice(id, 'termination', start + 10_000);
	ec2.notice(id, 'rebalance');
	ec2.notice(spared, 'termination');
	expect(ec2.notices(id)).toEqual({ action: null, rebalance: { noticeTime: '2026-01-05T00:00:00Z' } });
	await clock.runFor(10_000);
	expect(ec2.notices(id).action).toEqual({ action: 'terminate', time: '2026-01-05T00:02:10Z' });
	ec2.clearNotice(spared, 'termination');
	await clock.runFor(300_000);
	expect(seen.slice(2)).toEqual(['shutting down 130', 'terminated 135']);
	expect(ec2.describe(spared).state).toBe('running');
	expect(ec2.ledger.at(-1)).toMatchObject({ kind: 'terminate', instanceId: id, by: AWS, reason: 'spot interruption' });
});

test('an image without an agent stays without one', () => {
	const { ec2 } = create();
	ec2.imageHasAgent = false;
	expect(ec2.place(order).image).toEqual({ id: 'ami-1', agent: null, logicalAgentId: 'one' });
});

test('whatever is asked in whatever order: unique ids, one termination each, never running after it', async () => {
	const step = fc.oneof(
		fc.record({ do: fc.constant('launch' as const), az: fc.constantFrom(...zones, 'nowhere', null), running: fc.boolean() }),
		fc.record({ do: fc.constant('terminate' as const), which: fc.nat(30) }),
		fc.record({ do: fc.constant('notice' as const), which: fc.nat(30), in: fc.nat(60_000) }),
		fc.record({ do: fc.constant('capacity' as const), az: fc.constantFrom(...zones), available: fc.boolean() }),
		fc.record({ do: fc.constant('pass' as const), ms: fc.nat(120_000) }),
	);
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
			const { clock, ec2 } = create();
			const gone = new Set<string>();
			ec2.watch({
				running: ({ id }) => expect(gone.has(id)).toBe(false),
				shuttingDown: ({ id }) => {
					expect(gone.has(id)).toBe(false);
					gone.add(id);
				},
			});
			for (const one of steps) {
				const target = 'which' in one ? ec2.instances[one.which % Math.max(1, ec2.instances.length)] : undefined;
				if (one.do === 'pass') await clock.runFor(one.ms);
				if (one.do === 'capacity') ec2.setCapacity(`c5.large.${one.az}`, one.available);
				if (one.do === 'terminate' && target) ec2.terminate(target.id, OPERATOR, 'test');
				if (one.do === 'notice' && target) ec2.notice(target.id, 'termination', clock.now() + one.in);
				if (one.do !== 'launch') continue;
				try {
					ec2.place({ ...order, az: one.az }, { running: one.running });
				} catch (error) {
					expect(error).toMatchObject({ name: 'Ec2Error' });
				}
			}
			await clock.runFor(600_000);
			const launched = ec2.ledger.filter(({ kind }) => kind === 'launch').map(({ instanceId }) => instanceId);
			const ended = ec2.ledger.filter(({ kind }) => kind === 'terminate').map(({ instanceId }) => instanceId);
			expect(new Set(launched).size).toBe(launched.length);
			expect(new Set(ended).size).toBe(ended.length);
			expect(ec2.instances.map(({ id }) => id)).toEqual(launched);
			for (const { id, state, terminatedAt, shutdownAt, runningAt } of ec2.instances) {
				expect(state).toBe(gone.has(id) ? 'terminated' : 'running');
				if (terminatedAt !== null) expect(shutdownAt).toBeLessThanOrEqual(terminatedAt);
				if (runningAt !== null && shutdownAt !== null) expect(runningAt).toBeLessThanOrEqual(shutdownAt);
			}
			expect(ec2.ledger.map(({ at }) => at)).toEqual(ec2.ledger.map(({ at }) => at).sort((one, other) => one - other));
		}),
		{ numRuns: 200 },
	);
});

test('a shortage ends by itself', async () => {
	const { clock, ec2 } = create();
	ec2.shortage('c5.large.us-east-1a', 60_000);
	expect(() => ec2.place(order)).toThrow('capacity');
	await clock.runFor(59_000);
	expect(() => ec2.place(order)).toThrow('capacity');
	await clock.runFor(1_000);
	expect(ec2.place(order).state).toBe('pending');
});

test('the same seed gives the same machines', () => {
	const ids = () => {
		const { ec2 } = create();
		return [ec2.place(order).id, ec2.place({ ...order, az: null }).az];
	};
	expect(ids()).toEqual(ids());
});
