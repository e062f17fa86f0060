import { type CsvCell, csvDownload, slug } from '../contract/csv.ts';
import type { Output, Valid } from '../contract/index.ts';
import type { Download } from '../contract/operation.ts';
import { type Caller, clientOf } from './caller.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import { SHARES, shareCells } from './exports.ts';
import { uptimeStats } from './growth.ts';
import { figuresOf, savingsOf, sharesOf } from './savings.ts';
import { monthName, periods } from './savings-routes.ts';

const COLUMNS = ['Year', 'Month', 'Month Name', 'On-Demand Cost ($)', 'Actual Cost ($)', 'Savings ($)'];

const dollars = (micros: number): string => {
	const text = (micros / 1_000_000).toFixed(2);
	return text === '-0.00' ? '0.00' : text;
};

/** #38. Three statements. Errors: 404. */
export const exportSavings =
	(context: Context) =>
	({ client_id, shares }: Valid<'exportSavings'>): Download =>
		csvDownload(
			`client_${slug(client_id)}_savings.csv`,
			shares === true ? [...COLUMNS, ...SHARES] : COLUMNS,
			(async function* () {
				const client = await clientNamed(context.store.read, client_id);
				const months = await periods(context, client.id, 'month', '1970-01');
				yield months.reverse().map((row): CsvCell[] => {
					const figures = figuresOf(row);
					return [
						row.period.slice(0, 4),
						String(Number(row.period.slice(5, 7))),
						monthName(row.period),
						dollars(figures.baselineMicros),
						dollars(figures.actualMicros),
						dollars(figures.savingsMicros),
						...(shares === true ? shareCells(figures) : []),
					];
				});
			})(),
		);

/** X35 */
export const savingsTotals = (context: Context) => {
	const uptime = uptimeStats(context);
	return async (input: Valid<'savingsTotals'>, caller: Caller): Promise<Output<'savingsTotals'>> => {
		const client = await clientNamed(context.store.read, clientOf(caller, input.client_id));
		const figures = await savingsOf(context.store.read, { clientId: client.id }, context.clock.now());
		const { uptime_percentage: share } = await uptime({ client_id: client.id, days: 30 }, caller);
		return {
			total_savings: figures.savingsMicros / 1_000_000,
			uptime_percentage: share ?? 0,
			uptime_known: share !== null,
			savings_measured: figures.measuredMs > 0,
			shares: sharesOf(figures),
		};
	};
};
