import { Body, Controller, Delete, Get, Headers, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { parseInput, type RunId } from '@pvtrail/contracts';
import { StoredAnswers } from '@pvtrail/reporting';
import type { Response } from 'express';
import { RunCoordinator } from '../run-coordinator.js';
import { streamEvents } from './event-stream.js';
import { OPERATIONS } from './operations.js';
import { page } from './page.js';

const EVENT_STREAM = 'text/event-stream';

const runIn = (params: unknown): RunId => parseInput(OPERATIONS.getRun.params, params).id;

/** Runs: asking for them, following them, and what they gave. */
@Controller('v1/runs')
export class RunsController {
  constructor(
    readonly coordinator: RunCoordinator,
    readonly answers: StoredAnswers,
  ) {}

  @Post()
  @HttpCode(OPERATIONS.submitRun.status)
  async submit(@Body() body: unknown, @Res({ passthrough: true }) response: Response) {
    const { fleet, force } = parseInput(OPERATIONS.submitRun.body, body);
    const submitted = await this.coordinator.submit(this.coordinator.plan(fleet), force);
    response.location(`/v1/runs/${submitted.runId}`);
    return submitted;
  }

  @Get()
  list(@Query() query: unknown) {
    const { items: runs, total } = page(this.coordinator.statuses(), query);
    return { runs, total };
  }

  @Get(':id')
  status(@Param() params: unknown) {
    return this.coordinator.status(runIn(params));
  }

  @Delete(':id')
  @HttpCode(OPERATIONS.cancelRun.status)
  cancel(@Param() params: unknown) {
    return this.coordinator.cancel(runIn(params));
  }

  /** A list, or a stream to who accepts one. */
  @Get(':id/events')
  async events(
    @Param() params: unknown,
    @Query() query: unknown,
    @Headers('accept') accept: string | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res({ passthrough: true }) response: Response,
  ) {
    const runId = this.#known(params);
    if (accept?.includes(EVENT_STREAM) === true) return streamEvents(response, runId, lastEventId, this);
    const { items: events, total } = page(await this.answers.events(runId), query);
    return { events, total };
  }

  @Get(':id/guests')
  async guests(@Param() params: unknown, @Query() query: unknown) {
    const { items: guests, total } = page(await this.answers.guests(this.#known(params)), query);
    return { guests, total };
  }

  @Get(':id/footprints')
  async footprints(@Param() params: unknown) {
    return { footprints: await this.answers.footprints(this.#known(params)) };
  }

  @Get(':id/cycles')
  async cycles(@Param() params: unknown) {
    return { cycles: await this.answers.cycles(this.#known(params)) };
  }

  @Get(':id/report')
  report(@Param() params: unknown) {
    return this.answers.report(this.#known(params));
  }

  @Get(':id/audit')
  audit(@Param() params: unknown) {
    return this.answers.audit(this.#known(params));
  }

  /** @throws AppError `run/unknown` */
  #known(params: unknown): RunId {
    return this.coordinator.status(runIn(params)).runId;
  }
}
