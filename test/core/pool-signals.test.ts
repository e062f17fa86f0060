import { expect, it } from 'vitest';
import { createPoolSignals } from '../../src/core/pool-signals.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { createManualClock } from '../helpers/manual-clock.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { pool } from '../helpers/world.ts';
import { emergenciesOf, imminent, pollingAgent } from './replica-scene.ts';

describeEachDatabase('the signals of a pool', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);

	it('are counted each time up to a hundred, and beyond it again after ten seconds: no storm counts itself for each order', async () => {
		const agent = await pollingAgent(world);
		await imminent(world, agent, agent.id);
		const [first] = await emergenciesOf(world, agent.id);
		if (first === undefined) throw new Error('no emergency');
		const own = first.pool_id ?? '';
		let added = 0;
		const add = async (count: number): Promise<void> => {
			const rows = Array.from({ length: count }, () => {
				added++;
				return { ...first, id: `copy-${added}`, notice_key: `copy-${added}`, open_of: null, ended_at: world.now() };
			});
			await world.store.transact((tx) => tx.insertInto('emergency').values(rows).execute());
		};
		const clock = createManualClock(world.now(), async () => undefined);
		const signals = createPoolSignals(clock.forProgram().clock);
		const counts = async () => Object.fromEntries(await signals.of(world.store.read, [own, pool('d')]));
		const before = (await counts())[own] ?? 0;
		expect(before).toBeGreaterThan(0);
		await add(100 - before);
		expect(await counts()).toEqual({ [own]: 100, [pool('d')]: 0 });
		await add(1);
		expect(await counts()).toEqual({ [own]: 101, [pool('d')]: 0 });
		await add(50);
		await clock.advance(9_999);
		expect(await world.statements(counts)).toHaveLength(1);
		expect(await counts()).toEqual({ [own]: 101, [pool('d')]: 0 });
		await clock.advance(1);
		expect(await counts()).toEqual({ [own]: 151, [pool('d')]: 0 });
		await clock.advance(5_000);
		expect(await world.statements(() => signals.of(world.store.read, [own]))).toEqual([]);
	});
});
