import { Command } from 'commander';
import type { Input, Output } from '../../src/contract/index.ts';
import { SEVERITIES, SEVERITY_TONES } from '../activity/fields.ts';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption, oneOf } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import type { Column } from '../render.ts';

type Row = Output<'listNotifications'>['items'][number];
type Filter = Input<'listNotifications'>;
type Options = Extent & {
	readonly client?: string;
	readonly agent?: string;
	readonly type?: string;
	readonly severity?: Filter['severity'];
	readonly unread?: boolean;
	readonly since?: string;
};

const fields: readonly Column<Row>[] = [
	{ title: 'ID', value: ({ id }) => id },
	{ title: 'Time', value: ({ time }) => time, as: 'time' },
	{ title: 'Severity', value: ({ severity }) => severity, tone: ({ severity }) => SEVERITY_TONES[severity] },
	{ title: 'Read', value: ({ isRead }) => isRead },
	{ title: 'Count', value: ({ count }) => count },
	{ title: 'Title', value: ({ title }) => title },
	{ title: 'Message', value: ({ message }) => message, as: 'prose' },
	{ title: 'Type', value: ({ type }) => type, wide: true },
	{ title: 'First', value: ({ createdAt }) => createdAt, as: 'time', wide: true },
	{ title: 'Agent id', value: ({ agentId }) => agentId, wide: true },
	{ title: 'Client id', value: ({ clientId }) => clientId, wide: true },
];

export const listNotificationsCommand = (context: Context, run = runList): Command =>
	new Command('list')
		.alias('ls')
		.description('List notifications, those told last first')
		.option('--client <client>', 'only those of this client (name or id)')
		.option('--agent <agent>', 'only those of this agent')
		.option('--type <type>', 'only this type, such as agent_offline')
		.addOption(oneOf('--severity <severity>', 'only this severity', SEVERITIES))
		.option('--unread', 'only those that nobody has read')
		.option('--since <time>', 'only those told since, such as 2026-11-23T12:00:00Z')
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl notifications list --unread\n  $ spotctl notifications list --client acme --severity critical -o wide\n\nWhat happens to an agent again within ten minutes raises the count and is unread again.',
		)
		.action(async (options: Options) => run(context, options));

const runList = async (context: Context, { client, agent, type, severity, unread, since, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	const filter = {
		...(await clientFilter(context, client)),
		agent_id: agent,
		type,
		severity,
		unread: unread === true ? true : undefined,
		since,
	};
	await context.print.list({
		pages: pages(context, extent, (page) => api.listNotifications({ ...page, ...filter })),
		columns: fields,
		id: ({ id }) => id,
		empty: 'no notifications',
	});
};
