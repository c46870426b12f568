import { Controller, Get, Param, Query } from '@nestjs/common';
import { parseInput } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import { type CompareFilter, StoredAnswers } from '@pvtrail/reporting';
import { RunCoordinator } from '../run-coordinator.js';
import { openApiDocument } from './openapi.js';
import { OPERATIONS } from './operations.js';
import { MAX_RUNS } from './schemas.js';

/** Questions about stored guests of any runs, and the description of the API itself. */
@Controller('v1')
export class AnswersController {
  readonly #document: object = openApiDocument();

  constructor(
    readonly answers: StoredAnswers,
    readonly coordinator: RunCoordinator,
  ) {}

  @Get('openapi.json')
  openApi(): object {
    return this.#document;
  }

  @Get('compare')
  async compare(@Query() query: unknown) {
    const { between, by, limit, ...rest } = parseInput(OPERATIONS.compare.query, query);
    const filter = rest as CompareFilter;
    if (filter.runs === undefined && this.coordinator.statuses().length > MAX_RUNS) {
      throw new AppError('input/too-complex', `there are more than ${MAX_RUNS} runs; name those to compare by runs=`);
    }
    const [before, after] = between ?? [];
    if (before === undefined || after === undefined) return { rows: await this.answers.compare(filter) };
    return { rows: await this.answers.contributions(filter, { of: by, before, after, limit }) };
  }

  @Get('guests/:id/sites')
  async sites(@Param() params: unknown) {
    const { id } = parseInput(OPERATIONS.listSites.params, params);
    return { sites: await this.answers.sites(id) };
  }

  @Get('guests/:id/events')
  async events(@Param() params: unknown) {
    const { id } = parseInput(OPERATIONS.listGuestEvents.params, params);
    const events = await this.answers.events(id);
    return { events, total: events.length };
  }
}
