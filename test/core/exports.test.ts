import { expect, it } from 'vitest';
import type { Download } from '../../src/contract/operation.ts';
import type { Caller } from '../../src/core/caller.ts';
import type { SwitchTable } from '../../src/store/schema.ts';
import { addSwitches } from '../../src/store/switches.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent } from './agent-scene.ts';

const MANY = 2_100;

describeEachDatabase('the export of switches', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { jobs: [] });
	const caller: Caller = {
		principal: { kind: 'admin', scope: 'read', tokenId: null, name: 'test' },
		requestId: 'test',
		idempotencyKey: null,
		gone: () => false,
	};

	const record = (clientId: string, agentId: string, n: number): SwitchTable => ({
		id: `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`,
		client_id: clientId,
		agent_id: agentId,
		created_at: world.now() + n * 1000,
		evidence: 'report',
		success: 1,
		command_id: null,
		old_instance_id: `i-${n}`,
		new_instance_id: `i-${n + 1}`,
		old_mode: 'spot',
		new_mode: n % 2 === 0 ? 'spot' : 'ondemand',
		old_pool_id: null,
		new_pool_id: 'c5.large.us-east-1a',
		old_spot_micros: 30_000,
		new_spot_micros: 31_250,
		ondemand_micros: 85_000,
		impact_micros: n === 0 ? null : -1_250,
		trigger_type: 'manual',
		initiated_at: null,
		launched_at: null,
		ready_at: null,
		traffic_at: null,
		old_terminated_at: null,
		ami_created_at: null,
		duration_ms: null,
		downtime_ms: null,
		snapshot_id: null,
		error_message: null,
		generation: 1,
	});

	it('has every one of them once, newest first, 200 a statement (D-43)', async () => {
		const agent = await makeAgent(world);
		const all = Array.from({ length: MANY }, (_, n) => record(agent.client.id, agent.id, n));
		await world.store.transact((tx) => addSwitches(tx, all));
		let text = '';
		const sent = await world.statements(async () => {
			const [daemon] = world.daemons;
			if (daemon === undefined) throw new Error('the world has a daemon');
			const { chunks, fileName } = (await daemon.core.handlers.exportSwitches({ client_id: agent.client.id }, caller)) as Download;
			expect(fileName).toBe(`client_${agent.client.id}_switch_history.csv`);
			for await (const chunk of chunks) text += chunk;
		});
		const lines = text.trimEnd().split('\r\n').slice(1);
		expect(lines.map((line) => line.split(',')[1])).toEqual(all.map(({ old_instance_id }) => old_instance_id).reverse());
		expect(lines.at(-2)).toMatch(/Z,i-1,i-2,spot,ondemand,N\/A,c5\.large\.us-east-1a,manual,0\.085000,-0\.001250$/);
		expect(lines.at(-1)).toMatch(/,manual,0\.031250,N\/A$/);
		expect(sent.length).toBe(12);
	});
});
