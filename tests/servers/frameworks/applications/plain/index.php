<?php

declare(strict_types=1);

// An application without a framework: PSR-7 messages, PSR-15 middlewares, PHP's sessions, an emitter of ten lines.
// With ?open=early the stream is opened by the middleware OpenStream, else by the emitter.

use App\Layer;
use App\Model\Table\NotificationsTable;
use App\State;
use GuzzleHttp\Psr7\HttpFactory;
use GuzzleHttp\Psr7\Response;
use GuzzleHttp\Psr7\ServerRequest;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\RequestHandlerInterface;
use Sse\Component;
use Sse\Psr15\OpenStream;
use Sse\Psr15\StreamHandler;
use Sse\Stream;

require 'GuzzleHttp/Psr7/autoload.php';
require __DIR__ . '/psr15/RequestHandlerInterface.php';
require __DIR__ . '/psr15/MiddlewareInterface.php';
require __DIR__ . '/Layer.php';
require dirname(__DIR__) . '/autoload.php';
require dirname(__DIR__) . '/State.php';
require __DIR__ . '/NotificationsTable.php';

$routes = [
    '/hello' => new Layer(static fn (): Response => new Response(body: 'hello from plain')),
    '/login' => new Layer(static function (ServerRequestInterface $request): Response {
        $_SESSION['user'] = $request->getQueryParams()['user'];

        return new Response(body: 'logged in');
    }),
    '/visits' => new Layer(static function (): Response {
        $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;

        return new Response(body: json_encode($_SESSION, JSON_THROW_ON_ERROR));
    }),
    '/stream' => new StreamHandler(
        responses: new HttpFactory(),
        stream: static function (ServerRequestInterface $request): Stream {
            $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;

            return Stream::of("users.{$request->getAttribute('user')}", 'news')->retry(700);
        },
    ),
    '/logout' => new Layer(static function (): Response {
        $_SESSION = [];

        return new Response(body: 'logged out');
    }),
    '/render' => new StreamHandler(
        responses: new HttpFactory(),
        stream: static fn (ServerRequestInterface $request): Stream => new Stream(
            State::TOPIC,
            static fn (): array => State::render($request->getAttribute('user')),
            event: 'state',
        ),
    ),
    '/notifications' => new Layer(
        static function (ServerRequestInterface $request): ResponseInterface {
            $userId = $request->getAttribute('user');

            return (new Component(new Response()))->stream(
                static function () use ($userId): NotificationsTable {
                    State::render($userId);

                    return new NotificationsTable();
                },
                'notifications_timestamp_user_' . $userId,
                ['eventName' => 'new_notification', 'heartbeat' => 5],
            );
        },
    ),
    '/change' => new Layer(static function (ServerRequestInterface $request): Response {
        State::change($request->getParsedBody()['text']);
        (new NotificationsTable())->afterSave('alice');

        return new Response(body: 'changed');
    }),
    '/publish' => new Layer(static fn (ServerRequestInterface $request): Response => new Response(
        body: sse_publish($request->getParsedBody()['topic'], $request->getParsedBody()['data']),
    )),
];
// The outermost first.
$middlewares = [
    new Layer(static function (ServerRequestInterface $request, RequestHandlerInterface $next): ResponseInterface {
        try {
            return $next->handle($request);
        } catch (Throwable $error) {
            error_log("plain: the error middleware got {$error->getMessage()}");

            return new Response(500, body: json_encode(['handled' => $error::class], JSON_THROW_ON_ERROR));
        }
    }),
    ...(($_GET['open'] ?? '') === 'early' ? [new OpenStream()] : []),
    new Layer(static function (ServerRequestInterface $request, RequestHandlerInterface $next): ResponseInterface {
        $response = $next->handle($request);
        error_log("plain: the after-middleware has {$response->getStatusCode()}");

        return $response->withHeader('X-App', 'plain')
            ->withAddedHeader('Set-Cookie', 'seen=1; path=/')->withAddedHeader('Set-Cookie', 'theme=dark; path=/');
    }),
    new Layer(static function (ServerRequestInterface $request, RequestHandlerInterface $next): ResponseInterface {
        session_start();
        $public = preg_match('~index.php/(hello|login)$~', $request->getUri()->getPath()) === 1;
        if (!$public && !isset($_SESSION['user'])) {
            return new Response(403, body: json_encode(['refused' => 'plain'], JSON_THROW_ON_ERROR));
        }

        return $next->handle($request->withAttribute('user', $_SESSION['user'] ?? null));
    }),
];

$request = ServerRequest::fromGlobals();
$path = explode('index.php', $request->getUri()->getPath())[1] ?? '';
$handler = $routes[$path] ?? new Layer(static fn (): Response => new Response(404));
foreach (array_reverse($middlewares) as $middleware) {
    $handler = new Layer(static fn (ServerRequestInterface $request): ResponseInterface
        => $middleware->process($request, $handler));
}
$response = $handler->handle($request);
if (!headers_sent()) {
    http_response_code($response->getStatusCode());
    foreach ($response->getHeaders() as $name => $values) {
        foreach ($values as $value) {
            header("$name: $value", false);
        }
    }
}
echo $response->getBody();
error_log('plain: the application has finished');
