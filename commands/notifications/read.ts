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
	const data =
		id === undefined ? await api.readAllNotifications(await clientFilter(context, client)) : await api.readNotification({ notif_id: id });
	const note =
		id === undefined
			? `${data.marked_count} marked as read`
			: data.marked_count === 1
				? 'marked as read'
				: 'nothing to mark: it is read already, or there is no such notification';
	await context.print.one({ data, id: id ?? String(data.marked_count), fields: [], note });
};
