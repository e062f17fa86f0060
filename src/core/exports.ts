import { type CsvCell, csvDownload, slug } from '../contract/csv.ts';
import type { Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import type { Download } from '../contract/operation.ts';
import { type Client, clientCounts } from '../store/clients.ts';
import { activeClients } from '../store/exports.ts';
import { listSwitchRows } from '../store/lists.ts';
import { NO_SUMS } from '../store/savings.ts';
import type { SwitchRecord } from '../store/switches.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import { usd } from './report.ts';
import { figuresOf, type SavingsFigures, savingsByClient, sharesOf } from './savings.ts';

/** Clients of one read. */
const PAGE = 1_000;
/** Switches of one read. Reading and writing a thousand at once kept the daemon from everything else for 70 ms on a busy machine. */
const SWITCHES_PAGE = 200;

const STATS = ['Client ID', 'Name', 'Email', 'Total Savings ($)', 'Active Instances', 'Active Agents', 'Created At'];

/** Columns that say how much of the time behind a figure is measured, where they are asked for. */
export const SHARES = ['Measured (%)', 'Estimated (%)', 'Unknown (%)'];

const SWITCHES = [
	'Timestamp',
	'Old Instance ID',
	'New Instance ID',
	'From Mode',
	'To Mode',
	'From Pool',
	'To Pool',
	'Trigger',
	'Price ($)',
	'Savings Impact ($/hr)',
];

type Line = { readonly client: Client; readonly figures: SavingsFigures; readonly instances: number; readonly agents: number };

/** Active clients with their figures: they are sorted by a sum, so that all of them have to be known first. */
const lines = async ({ store, clock }: Context): Promise<Line[]> => {
	const now = clock.now();
	const all: Line[] = [];
	for (let after: string | null = null; ; ) {
		const clients: Client[] = await activeClients(store.read, after, PAGE);
		const ids = clients.map(({ id }) => id);
		const [counts, savings] = [await clientCounts(store.read, ids), await savingsByClient(store.read, ids, now)];
		for (const client of clients) {
			const count = counts.get(client.id);
			all.push({
				client,
				figures: savings.get(client.id) ?? figuresOf(NO_SUMS),
				instances: count?.active ?? 0,
				agents: count?.online ?? 0,
			});
		}
		const last = clients.at(-1);
		if (clients.length < PAGE || last === undefined) break;
		after = last.id;
	}
	return all.sort((a, b) => b.figures.savingsMicros - a.figures.savingsMicros || a.client.name.localeCompare(b.client.name, 'en'));
};

const dollars = (micros: number): string => {
	const text = (micros / 1_000_000).toFixed(2);
	return text === '-0.00' ? '0.00' : text;
};

/** The cells of {@link SHARES}. */
export const shareCells = (figures: SavingsFigures): CsvCell[] => {
	const { measured, estimated, unknown } = sharesOf(figures);
	return [measured, estimated, unknown];
};

/** #17. Five statements for each thousand clients. */
export const exportStats =
	(context: Context) =>
	({ shares }: Valid<'exportStats'>): Download =>
		csvDownload(
			'global_stats.csv',
			shares === true ? [...STATS, ...SHARES] : STATS,
			(async function* () {
				const found = await lines(context);
				for (let start = 0; start < found.length; start += PAGE) {
					yield found
						.slice(start, start + PAGE)
						.map(({ client, figures, instances, agents }): CsvCell[] => [
							client.id,
							client.name,
							client.email ?? '',
							dollars(figures.savingsMicros),
							instances,
							agents,
							iso(client.created_at),
							...(shares === true ? shareCells(figures) : []),
						]);
				}
			})(),
		);

const perHour = (micros: number | null): CsvCell => (micros === null ? 'N/A' : (usd(micros) ?? 0).toFixed(6));

const switchLine = (record: SwitchRecord): CsvCell[] => [
	iso(record.launched_at ?? record.ami_created_at ?? record.initiated_at ?? record.created_at),
	record.old_instance_id ?? 'N/A',
	record.new_instance_id ?? 'N/A',
	record.old_mode ?? 'N/A',
	record.new_mode ?? 'N/A',
	record.old_pool_id ?? 'N/A',
	record.new_pool_id ?? 'N/A',
	record.trigger_type ?? 'N/A',
	perHour(record.new_mode === 'spot' ? record.new_spot_micros : record.ondemand_micros),
	perHour(record.impact_micros),
];

/** #39. One statement for the client, and one for each 200 switches. Errors: 404. */
export const exportSwitches =
	(context: Context) =>
	({ client_id }: Valid<'exportSwitches'>): Download =>
		csvDownload(
			`client_${slug(client_id)}_switch_history.csv`,
			SWITCHES,
			(async function* () {
				const { read } = context.store;
				const client = await clientNamed(read, client_id);
				for (let after: string | null = null; ; ) {
					const rows: SwitchRecord[] = await listSwitchRows(read, {
						clientId: client.id,
						instanceId: null,
						limit: SWITCHES_PAGE - 1,
						after,
					});
					yield rows.map(switchLine);
					const last = rows.at(-1);
					if (rows.length < SWITCHES_PAGE || last === undefined) return;
					after = last.id;
				}
			})(),
		);
