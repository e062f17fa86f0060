import { Command } from 'commander';
import type { Context } from '../context.ts';
import { createClientCommand } from './create.ts';
import { deleteClientCommand } from './delete.ts';
import { growthCommand } from './growth.ts';
import { listClientsCommand } from './list.ts';
import { setClientCommand } from './set.ts';
import { showClientCommand } from './show.ts';

export const clientsCommand = (context: Context): Command =>
	new Command('clients')
		.addCommand(listClientsCommand(context))
		.addCommand(showClientCommand(context))
		.addCommand(createClientCommand(context))
		.addCommand(setClientCommand(context))
		.addCommand(deleteClientCommand(context))
		.addCommand(growthCommand(context));
