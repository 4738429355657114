<?php

declare(strict_types=1);

namespace Demo;

/** A job that takes a while, as a worker of a queue does one: a process beside the server, which tells how far it is. */
final class Job
{
    private const ROWS = 2000;
    /** Milliseconds that it takes. */
    private const LASTS = 8000;

    /** Starts a job, unless one runs, and returns the id of the one that does. */
    public static function start(): string
    {
        $process = new Background('job-worker');
        $id = bin2hex(random_bytes(8));
        // It must find the same hub, and starts none.
        $settings = array_filter(['extension' => (string) getenv('SSE_DEMO_EXTENSION'), 'sse.socket' => (string) ini_get('sse.socket')]);
        $settings += ['sse.spawn' => 'off', 'sse.udp' => ''];
        return $process->start($id, [$id, self::ROWS, self::LASTS], $settings);
    }

    /** The topic of a job. */
    public static function topic(string $id): string
    {
        return "job.$id";
    }
}
