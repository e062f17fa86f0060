import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, joinAgent, makeAgent, newMachine, orderSwitch, rowsOf } from './agent-scene.ts';

const MINUTE = 60_000;

describeEachDatabase('the books of a switch', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const rows = rowsOf(world);

	const booked = async ({ id }: AgentScene) => {
		const [record, ...more] = await rows.switches(id);
		expect(more).toEqual([]);
		return record;
	};

	describe('say what caused it', () => {
		it.each([
			['manual', 'manual'],
			['model', 'model'],
			['automatic', 'automatic'],
			['Emergency', 'emergency'],
			['whim', 'agent'],
			[null, 'agent'],
		])('in the words of the report where no command is known: %j is %s', async (trigger, stored) => {
			const agent = await makeAgent(world);
			expect((await agent.client.report(agent.id, newMachine(), { trigger })).body).toMatchObject({ action: 'switched' });
			expect(await booked(agent)).toMatchObject({ command_id: null, trigger_type: stored });
		});

		it('in those of the command where there is one, whatever the report makes of its priority', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			await agent.client.report(agent.id, newMachine(), { trigger: 'model' });
			expect(await booked(agent)).toMatchObject({ command_id: command, trigger_type: 'manual' });
		});
	});

	describe('say what it saves an hour', () => {
		const prices = { on_demand: 0.085, old_spot: null, new_spot: 0.03 };
		/** The host says what it pays itself. */
		const pays = (agent: AgentScene, price: number) =>
			agent.client.call('pricingReport', {
				agent_id: agent.id,
				instance: { instance_type: 'c5.large', region: 'us-east-1', mode: 'spot' },
				pricing: { on_demand_price: 0.085, current_spot_price: price },
			});

		it('from the price the old host itself reported last, where its switch report says none', async () => {
			const agent = await makeAgent(world);
			await pays(agent, 0.041);
			await world.advance(5 * MINUTE, MINUTE);
			const { body } = await agent.client.report(agent.id, newMachine(), { ...named(agent), prices });
			expect(body.savings_impact).toBe(0.011);
			expect(await booked(agent)).toMatchObject({ old_spot_micros: 41_000, new_spot_micros: 30_000, impact_micros: 11_000 });
		});

		it('from the price of the report before that', async () => {
			const agent = await makeAgent(world);
			await pays(agent, 0.041);
			const { body } = await agent.client.report(agent.id, newMachine(), { ...named(agent), prices: { ...prices, old_spot: 0.05 } });
			expect(body.savings_impact).toBe(0.02);
			expect(await booked(agent)).toMatchObject({ old_spot_micros: 50_000 });
		});

		it('not at all where a spot host never said what it pays, or not within the last hour: it never paid the on-demand price', async () => {
			const silent = await makeAgent(world);
			const old = await makeAgent(world);
			await pays(old, 0.041);
			await world.advance(61 * MINUTE, MINUTE);
			for (const agent of [silent, old]) {
				const { body } = await agent.client.report(agent.id, newMachine(), { ...named(agent), prices });
				expect(body.savings_impact).toBe(null);
				expect(await booked(agent)).toMatchObject({ old_spot_micros: null, impact_micros: null, ondemand_micros: 85_000 });
			}
		});

		it('from the on-demand price where the old host was on-demand', async () => {
			const agent = await makeAgent(world, undefined, { mode: 'ondemand' });
			await pays(agent, 0.041);
			const { body } = await agent.client.report(agent.id, newMachine(), {
				...named(agent, { mode: 'ondemand', pool_id: null }),
				prices,
			});
			expect(body.savings_impact).toBe(0.055);
			expect(await booked(agent)).toMatchObject({ old_spot_micros: null, impact_micros: 55_000 });
		});

		it('the same when a registration had proved the switch before its report came, and after a second report', async () => {
			const agent = await makeAgent(world);
			await pays(agent, 0.041);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'b');
			for (const [told, impact] of [
				[prices, 11_000],
				[{ ...prices, old_spot: 0.05 }, 20_000],
				[prices, 20_000],
			] as const) {
				await agent.client.report(agent.id, next.instanceId, { ...named(agent, {}, next.instanceId), prices: told });
				expect(await booked(agent)).toMatchObject({ impact_micros: impact, evidence: 'report' });
			}
		});
	});

	/** Both machines of a report in full. */
	const named = ({ instanceId }: AgentScene, old: object = {}, next: string = newMachine()) => ({
		old_instance: {
			instance_id: instanceId,
			instance_type: 'c5.large',
			az: 'us-east-1a',
			mode: 'spot',
			pool_id: 'c5.large.us-east-1a',
			...old,
		},
		new_instance: { instance_id: next, instance_type: 'c5.large', az: 'us-east-1b', mode: 'spot', pool_id: 'c5.large.us-east-1b' },
	});
});
