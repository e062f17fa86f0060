import type { Output } from '../../src/contract/index.ts';
import type { Context } from '../context.ts';
import type { Column, Tone } from '../render.ts';

type Row = Output<'showReplica'>;

const TONES: Readonly<Record<Row['status'], Tone>> = {
	launching: 'warn',
	syncing: 'warn',
	ready: 'good',
	promoted: 'good',
	terminated: 'dim',
	failed: 'bad',
};

/** What is shown of a replica, in lists and alone. */
export const replicaFields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Agent', value: ({ logical_agent_id }) => logical_agent_id },
	{ title: 'Type', value: ({ type }) => type },
	{ title: 'Status', value: ({ status }) => status, tone: ({ status }) => TONES[status] },
	{ title: 'Instance', value: ({ instance_id }) => instance_id },
	{ title: 'Pool', value: ({ pool_id }) => pool_id },
	{ title: 'Synced', value: ({ state_transfer_progress }) => state_transfer_progress, as: 'percent' },
	{ title: 'Hourly', value: ({ hourly_cost }) => hourly_cost, as: 'usd' },
	{ title: 'Created', value: ({ created_at }) => created_at, as: 'time' },
	{ title: 'Error', value: ({ error_message }) => error_message, as: 'prose' },
	{ title: 'Mode', value: ({ mode }) => mode, wide: true },
	{ title: 'Instance type', value: ({ instance_type }) => instance_type, wide: true },
	{ title: 'Region', value: ({ region }) => region, wide: true },
	{ title: 'AZ', value: ({ az }) => az, wide: true },
	{ title: 'Sync status', value: ({ sync_status }) => sync_status, wide: true },
	{ title: 'Estimated cost', value: ({ total_cost }) => total_cost, as: 'usd', wide: true },
	{ title: 'Created by', value: ({ created_by }) => created_by, wide: true },
	{ title: 'Reason', value: ({ reason }) => reason, as: 'prose', wide: true },
	{ title: 'Emergency', value: ({ emergency_id }) => emergency_id, wide: true },
	{ title: 'Served', value: ({ served_at }) => served_at, as: 'time', wide: true },
	{ title: 'Launched', value: ({ launched_at }) => launched_at, as: 'time', wide: true },
	{ title: 'Ready', value: ({ ready_at }) => ready_at, as: 'time', wide: true },
	{ title: 'Promoted', value: ({ promoted_at }) => promoted_at, as: 'time', wide: true },
	{ title: 'Ended', value: ({ ended_at }) => ended_at, as: 'time', wide: true },
	{ title: 'End confirmed', value: ({ confirmed_at }) => confirmed_at, as: 'time', wide: true },
	{ title: 'Agent id', value: ({ agent_id }) => agent_id, wide: true },
	{ title: 'Client id', value: ({ client_id }) => client_id, wide: true },
];

/** A replica by its id alone: whose it is, and words for it in a question. Errors: 404. */
export const findReplica = async (context: Context, replica: string): Promise<{ readonly agentId: string; readonly words: string }> => {
	const found = await (await context.api()).showReplica({ replica_id: replica });
	const machine = found.instance_id === null ? '' : ` (${found.instance_id})`;
	return { agentId: found.agent_id, words: `replica ${JSON.stringify(found.id)}${machine} of ${JSON.stringify(found.logical_agent_id)}` };
};
