<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Sse\Stream;
use SseUnavailable;
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
        self::run(static fn (): Answer|Stream => (new StreamEndpoint($site ?? Site::load()))->respond(Request::current()));
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
        } catch (SseUnavailable $problem) {
            error_log($problem->getMessage());
            Answer::error(503, 'Not available at the moment')->with(['Retry-After' => '2'])->send();
        } catch (Throwable $problem) {
            // What went wrong is for the log: a message may have in it what no page should see.
            error_log(sprintf('%s: %s in %s:%d', $problem::class, $problem->getMessage(), $problem->getFile(), $problem->getLine()));
            Answer::error(500, 'Something is wrong on the server; its log says what')->send();
        }
    }
}
