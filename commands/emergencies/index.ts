import { Command } from 'commander';
import type { Context } from '../context.ts';
import { listEmergenciesCommand } from './list.ts';
import { showEmergencyCommand } from './show.ts';

export const emergenciesCommand = (context: Context): Command =>
	new Command('emergencies').addCommand(listEmergenciesCommand(context)).addCommand(showEmergencyCommand(context));
