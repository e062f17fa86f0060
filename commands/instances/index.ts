import { Command } from 'commander';
import type { Context } from '../context.ts';
import { holdInstanceCommand } from './hold.ts';
import { listInstancesCommand } from './list.ts';
import { instanceMetricsCommand } from './metrics.ts';
import { instanceOptionsCommand } from './options.ts';
import { instancePricesCommand } from './prices.ts';
import { promoteInstanceCommand } from './promote.ts';
import { releaseInstanceCommand } from './release.ts';
import { showInstanceCommand } from './show.ts';
import { switchInstanceCommand } from './switch.ts';

export const instancesCommand = (context: Context): Command =>
	new Command('instances')
		.addCommand(listInstancesCommand(context))
		.addCommand(showInstanceCommand(context))
		.addCommand(instanceOptionsCommand(context))
		.addCommand(instanceMetricsCommand(context))
		.addCommand(instancePricesCommand(context))
		.addCommand(switchInstanceCommand(context))
		.addCommand(holdInstanceCommand(context))
		.addCommand(releaseInstanceCommand(context))
		.addCommand(promoteInstanceCommand(context));
