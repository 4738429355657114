<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Sse\Stream;
use Throwable;

/**
 * Runs the endpoints of a site, each in a file of its own:
 *
 * ```php
 * require __DIR__ . '/../vendor/autoload.php';
 * Sse\Endpoint\Endpoint::stream();
 * ```
 */
final class Endpoint
{
    /** `stream.php`; see {@see StreamEndpoint}. */
    public static function stream(?Site $site = null): void
    {
        self::run(
            static fn (): Answer|Stream => (new StreamEndpoint($site ?? Site::load()))->respond(Request::current()),
        );
    }

    /** `publish.php`; see {@see PublishEndpoint}. */
    public static function publish(?Site $site = null): void
    {
        self::run(static fn (): Answer => (new PublishEndpoint($site ?? Site::load()))->respond(Request::current()));
    }

    /** `get_sse_config.php`; see {@see ConfigEndpoint}. */
    public static function config(?Site $site = null): void
    {
        self::run(static fn (): Answer => ConfigEndpoint::of($site ?? Site::load())->respond(Request::current()));
    }

    /** `metrics.php`; see {@see MetricsEndpoint}. */
    public static function metrics(?Site $site = null): void
    {
        self::run(static fn (): Answer => (new MetricsEndpoint($site ?? Site::load()))->respond(Request::current()));
    }

    /** `health.php`; see {@see HealthEndpoint}. */
    public static function health(): void
    {
        self::run(static fn (): Answer => (new HealthEndpoint())->respond(Request::current()));
    }

    /** `dashboard.php`; see {@see Dashboard}. */
    public static function dashboard(?Site $site = null): void
    {
        self::run(
            static fn (): Answer|Stream => (new Dashboard($site ?? Site::load()))->respond(Request::current()),
        );
    }

    /** @param callable(): (Answer|Stream) $respond */
    private static function run(callable $respond): void
    {
        try {
            $answer = $respond();
            if ($answer instanceof Stream) {
                $answer->open();
            } else {
                $answer->send();
            }
        } catch (Throwable $problem) {
            Answer::problem($problem, Answer::error(...))->send();
        }
    }
}
