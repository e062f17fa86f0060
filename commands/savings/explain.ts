import { Command } from 'commander';
import type { Output } from '../../src/contract/index.ts';
import type { Context } from '../context.ts';
import { allOption, limitOption } from '../options.ts';
import { type Extent, pages } from '../paging.ts';
import type { Column } from '../render.ts';
import { monthOption } from './fields.ts';

type Options = Extent & { readonly agent: string; readonly month?: string };
type Segment = Output<'explainSavings'>['segments'][number];

const TONES = { measured: 'good', estimated: 'warn', unknown: 'bad' } as const;

const columns: readonly Column<Segment>[] = [
	{ title: 'Start', value: ({ start }) => start, as: 'time' },
	{ title: 'Seconds', value: ({ seconds }) => seconds },
	{ title: 'Instance', value: ({ instanceId }) => instanceId },
	{ title: 'Line', value: ({ line }) => line },
	{ title: 'Pool', value: ({ poolId, mode }) => poolId ?? mode },
	{ title: 'Price', value: ({ price }) => price, as: 'usd' },
	{ title: 'On-demand', value: ({ onDemandPrice }) => onDemandPrice, as: 'usd' },
	{ title: 'Cost', value: ({ cost }) => cost, as: 'usd' },
	{ title: 'Baseline', value: ({ baseline }) => baseline, as: 'usd' },
	{ title: 'Quality', value: ({ quality }) => quality, tone: ({ quality }) => TONES[quality] },
	{ title: 'Source', value: ({ priceSource }) => priceSource },
	{ title: 'Closed by', value: ({ closedBy }) => closedBy },
	{ title: 'End', value: ({ end }) => end, as: 'time', wide: true },
	{ title: 'Role', value: ({ role }) => role, wide: true },
	{ title: 'Priced', value: ({ pricedAt }) => pricedAt, as: 'time', wide: true },
];

export const explainSavingsCommand = (context: Context, run = runExplain): Command =>
	new Command('explain')
		.description('The segments behind an agent’s figure of a month: which machine, how long, at which price, by whose word')
		.requiredOption('--agent <agent>', 'id of the agent')
		.addOption(monthOption('the month; the present one without it'))
		.addOption(limitOption())
		.addOption(allOption())
		.addHelpText(
			'after',
			'\nExample:\n  $ spotctl savings explain --agent 8a5f0c2e-7d1b-4c55-9a43-2f7f0c1f8b11 --month 2026-11 --all -o csv',
		)
		.action(async (options: Options) => run(context, options));

const runExplain = async (context: Context, { agent, month, ...extent }: Options): Promise<void> => {
	const api = await context.api();
	let told = false;
	await context.print.list({
		pages: pages(context, extent, async (page) => {
			const {
				segments,
				next_cursor: nextCursor,
				figures,
				countsFrom,
				month: shown,
			} = await api.explainSavings({ ...page, agent_id: agent, month });
			if (!told)
				context.note(
					`${shown}: saved ${figures.savings.toFixed(6)} USD = ${figures.baseline.toFixed(6)} on demand - ${figures.actual.toFixed(6)} (primaries ${figures.primaryCost.toFixed(6)}, replicas ${figures.replicaCost.toFixed(6)}, overlap ${figures.overlapCost.toFixed(6)}, zombies ${figures.zombieCost.toFixed(6)}); time: ${figures.shares.measured} % measured, ${figures.shares.estimated} % estimated, ${figures.shares.unknown} % unknown`,
				);
			if (!told && countsFrom !== null)
				context.note(
					`machines that were over before ${countsFrom} are not counted: retention has ended their segments (retention.ledger); their client's figures count them: spotctl savings show --client CLIENT`,
				);
			told = true;
			return { items: segments, nextCursor };
		}),
		columns,
		id: ({ instanceId, start }) => `${instanceId} ${start}`,
		empty: 'nothing was booked',
	});
};
