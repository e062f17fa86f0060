import { Command } from 'commander';
import type { Input } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import { type EventRow, eventFields } from './fields.ts';
import { followEvents } from './follow.ts';

type Options = Extent & {
	readonly follow?: boolean;
	readonly client?: string;
	readonly agent?: string;
	readonly type?: string;
	readonly severity?: Input<'listEvents'>['severity'];
	readonly since?: string;
};

export const eventsCommand = (context: Context, run = runEvents): Command =>
	new Command('events')
		.option('-f, --follow', 'print what happens from now on, until interrupted')
		.option('--client <client>', 'only those of this client (name or id)')
		.option('--agent <agent>', 'only those of this agent')
		.option('--type <type>', 'only those of this type; with --follow also kinds, such as switch, and several with commas')
		.addOption(oneOf('--severity <severity>', 'only those as bad as this', ['info', 'warning', 'error', 'critical']))
		.option('--since <time>', 'only those since this time (2021-03-04T05:06:07Z)')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText('after', '\nExample:\n  $ spotctl events --client acme --severity error\n  $ spotctl events --follow -o jsonl')
		.action(async (options: Options) => run(context, options));

const columns = { columns: eventFields, id: ({ id }: EventRow) => String(id), empty: 'no events' };

const runEvents = async (context: Context, { follow, client, agent, type, severity, since, ...extent }: Options): Promise<void> => {
	if (follow !== true) {
		const api = await context.api();
		const filter = { ...(await clientFilter(context, client)), agent_id: agent, type, severity, since };
		await context.print.list({ ...columns, pages: pages(context, extent, (page) => api.listEvents({ ...page, ...filter })) });
		return;
	}
	if (agent !== undefined || severity !== undefined || since !== undefined || extent.limit !== undefined || extent.all === true) {
		throw new SpotError('invalid', 'USAGE', '--follow goes with --client and --type only', {
			hint: 'leave --follow out to search what has happened',
		});
	}
	const wanted = { ...(await clientFilter(context, client)), ...(type === undefined ? {} : { types: type }) };
	await context.print.list({ ...columns, pages: followEvents(context, wanted) });
};
