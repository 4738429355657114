<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Psr\Http\Message\ResponseInterface;
use Sse\Stream;
use SseUnavailable;
use Tqdev\PhpCrudApi\Controller\Responder;
use Tqdev\PhpCrudApi\Record\ErrorCode;
use Tqdev\PhpCrudApi\ResponseFactory;

/**
 * The stream of a table's changes, or a record's, for one client: each time something changes, it asks the API what this
 * client may read of it.
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
    public function open(string $table, ?string $id): ResponseInterface
    {
        try {
            $cursor = sse_cursor();
        } catch (SseUnavailable $problem) {
            error_log("Sse\\CrudApi: {$problem->getMessage()}");

            return $this->responder->error(ErrorCode::ERROR_NOT_FOUND, self::UNAVAILABLE)
                ->withStatus(503)->withHeader('Retry-After', '2');
        }
        $ask = $id === null ? Ask::forTable($this->bridge, $table, []) : Ask::forRecord($this->bridge, $table, $id);
        // A record's stream tells that it was deleted: so it goes on when there is none any more, but doesn't begin then.
        if (!$ask->isAllowed() && !($id !== null && sse_render() !== null && $ask->isGone($id))) {
            return $ask->response();
        }
        $changes = new Changes($this->bridge, $table, $id, $cursor, $ask);
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
        } catch (SseUnavailable $problem) {
            error_log("Sse\\CrudApi: {$problem->getMessage()}");
            http_response_code(503);
            header('Retry-After: 2');
        }
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
