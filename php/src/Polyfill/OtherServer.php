<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use SseException;

/**
 * Servers that are PHP programs on the command line: what a script writes does not go to their clients, and a stream that waits
 * in it stops the whole process.
 */
final class OtherServer
{
    /** What the names of classes and functions begin with that call a script from an event loop. */
    private const LOOPS = [
        'Swoole\\' => 'Swoole',
        'OpenSwoole\\' => 'OpenSwoole',
        'React\\EventLoop\\' => 'ReactPHP',
        'React\\Async\\' => 'ReactPHP',
        'Amp\\Loop' => 'AMPHP',
        'Revolt\\EventLoop' => 'Revolt, AMPHP\'s event loop,',
        'Workerman\\' => 'Workerman',
        'Spiral\\RoadRunner\\' => 'RoadRunner',
    ];

    /** @throws SseException Such a server runs this script. */
    public static function check(): void
    {
        $name = StreamResponse::isCommandLine() ? self::find() : null;
        if ($name !== null) {
            throw new SseException(
                "sse_stream() can't stream here: $name runs this script on the command line, so what PHP writes does not reach the "
                . 'client, and waiting for events would stop all of the process; have PHP-FPM answer the URL of the stream, and '
                . 'publish from here',
            );
        }
    }

    private static function find(): ?string
    {
        if (getenv('RR_MODE') !== false || getenv('RR_RELAY') !== false) {
            return 'RoadRunner';
        }
        foreach (['Swoole\\Coroutine', 'OpenSwoole\\Coroutine'] as $class) {
            $current = [$class, 'getCid'];
            if (class_exists($class, false) && is_callable($current) && !in_array($current(), [-1, false, null], true)) {
                return 'Swoole';
            }
        }
        /** @var list<array{class?: string, function?: string, ...}> $frames */
        $frames = debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS);
        foreach ($frames as $frame) {
            $server = self::ofLoop($frame['class'] ?? '') ?? self::ofLoop($frame['function'] ?? '');
            if ($server !== null) {
                return $server;
            }
        }

        return null;
    }

    private static function ofLoop(string $name): ?string
    {
        foreach (self::LOOPS as $beginning => $server) {
            if (str_starts_with($name, $beginning)) {
                return $server;
            }
        }

        return null;
    }
}
