import { Command } from 'commander';
import { SpotError } from '../../src/errors.ts';
import { clientFilter } from '../clients/find.ts';
import type { Context } from '../context.ts';

type Options = { readonly all?: boolean; readonly client?: string };

export const readNotificationsCommand = (context: Context, run = runRead): Command =>
	new Command('read')
		.description('Mark a notification as read, or all of them')
		.argument('[notification]', 'id of the notification')
		.option('--all', 'every notification, or with --client every one of that client')
		.option('--client <client>', 'with --all: only those of this client (name or id)')
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl notifications read 0d5c2f4e-93b1-7f0e-8a55-7c1f1c9e2b60\n  $ spotctl notifications read --all --client acme',
		)
		.action(async (id: string | undefined, options: Options) => run(context, id, options));

const usage = (message: string): SpotError =>
	new SpotError('invalid', 'USAGE', message, { hint: 'see: spotctl notifications read --help' });

const runRead = async (context: Context, id: string | undefined, { all, client }: Options): Promise<void> => {
	if ((id === undefined) !== (all === true)) throw usage(id === undefined ? 'say which one, or --all' : 'say which one or --all, not both');
	if (client !== undefined && all !== true) throw usage('--client goes with --all');
	const api = await context.api();
	if (id === undefined) {
		const data = await api.readAllNotifications(await clientFilter(context, client));
		await context.print.one({ data, id: String(data.marked_count), fields: [], note: `${data.marked_count} marked as read` });
		return;
	}
	const data = await api.readNotification({ notif_id: id });
	if (data.found === false)
		throw new SpotError('missing', 'NOT_FOUND', `no notification "${id}"`, { hint: 'see: spotctl notifications list' });
	await context.print.one({ data, id, fields: [], note: data.marked_count === 1 ? 'marked as read' : 'it is read already' });
};
