<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Psr\Http\Message\ResponseInterface;
use Sse\Rules;
use Sse\Stream;
use SseUnavailable;
use Tqdev\PhpCrudApi\Controller\Responder;
use Tqdev\PhpCrudApi\Record\ErrorCode;
use Tqdev\PhpCrudApi\ResponseFactory;

/**
 * The stream of a table's changes, or a record's, for one client: each time something changes, it asks the API what
 * this client may read of it.
 */
final class Live
{
    /** What a stream is asked for by, at the end of the URL's path. */
    public const PATH = '~/sse/records/[^/]+(/[^/]+)?/?$~';

    private const UNAVAILABLE = 'Live changes are not available at the moment';

    public function __construct(private readonly Bridge $bridge, private readonly Responder $responder)
    {
    }

    /** The response of the request that asks for the stream; it becomes one when the script has ended. */
    public function open(string $table, ?string $id, bool $headersOnly = false): ResponseInterface
    {
        // As the API itself takes the path: `1,2,3` are three records.
        $ids = $id !== null && str_contains($id, ',') ? array_values(array_unique(explode(',', $id))) : null;
        $most = Rules::mostTopics();
        if ($ids !== null && count($ids) > $most) {
            return $this->responder->error(ErrorCode::ARGUMENT_COUNT_MISMATCH, "at most $most keys (sse.max_topics)");
        }
        $id = $ids === null ? $id : null;
        try {
            $cursor = sse_cursor();
        } catch (SseUnavailable $problem) {
            error_log("Sse\\CrudApi: {$problem->getMessage()}");

            return $this->responder->error(ErrorCode::ERROR_NOT_FOUND, self::UNAVAILABLE)
                ->withStatus(503)->withHeader('Retry-After', '2');
        }
        $ask = $id === null
            ? Ask::forTable($this->bridge, $table, $ids ?? [])
            : Ask::forRecord($this->bridge, $table, $id);
        // A record's stream tells that it was deleted: so it goes on when there is none any more, but doesn't begin
        // then.
        if (!$ask->isAllowed() && !($id !== null && sse_render() !== null && $ask->isGone($id))) {
            return self::refusal($ask->response());
        }
        if ($headersOnly) {
            return self::headersOf($ask->response())->withHeader('Content-Type', 'text/event-stream; charset=utf-8');
        }
        // `042` finds the row of `42`, whose changes are published by the key that the database has.
        if ($id !== null && $ask->isAllowed()) {
            $id = $ask->keys()[0] ?? $id;
        } elseif ($ids !== null) {
            $ids = array_slice(array_values(array_unique([...$ask->keys(), ...$ids])), 0, $most);
        }
        $changes = new Changes($this->bridge, $table, $id, $cursor, $ask, $ids);
        // PHP-CRUD-API reads a response's body before it sends its headers, so the stream has to begin after that.
        register_shutdown_function(fn () => $this->stream($changes));

        return self::headersOf($ask->response());
    }

    private function stream(Changes $changes): void
    {
        try {
            (new Stream($changes->topics(), $changes->render(...), reauthorize: $this->bridge->reauthorize))
                ->onlyChanges(false)
                ->open();
        } catch (Refused) {
            // The stream has ended, or the hub asks once more and is refused when the request begins.
        } catch (SseUnavailable $problem) {
            error_log("Sse\\CrudApi: {$problem->getMessage()}");
            http_response_code(503);
            header('Retry-After: 2');
        }
    }

    /** The API's own answer; where it sends the client elsewhere (`sslRedirect`), to the stream there. */
    private static function refusal(ResponseInterface $answer): ResponseInterface
    {
        $location = $answer->getHeaderLine('Location');

        return $location === ''
            ? $answer
            : $answer->withHeader('Location', (string) preg_replace('~/records/~', '/sse/records/', $location, 1));
    }

    /** An empty response with the headers by which another site's page may read it. */
    private static function headersOf(ResponseInterface $answer): ResponseInterface
    {
        $response = ResponseFactory::fromStatus(200);
        foreach ($answer->getHeaders() as $name => $values) {
            if (preg_match('/^(Access-Control-.*|Vary)$/i', (string) $name) === 1) {
                $response = $response->withHeader((string) $name, $values);
            }
        }

        return $response;
    }
}
