<?php

declare(strict_types=1);

// A Slim 3 application: a token in a header, middlewares before and after, its own error handler.
// With ?open=early the stream is opened in the outermost middleware, else by Slim's emitter.

use App\State;
use Psr\Http\Message\ResponseInterface as Response;
use Psr\Http\Message\ServerRequestInterface as Request;
use Slim\App;
use Sse\Psr7\EventStream;
use Sse\Stream;

require 'Slim/autoload.php';
require dirname(__DIR__) . '/autoload.php';
require dirname(__DIR__) . '/State.php';

// No function here is static: Slim 3 binds them to its container.
$app = new App();
$container = $app->getContainer();
$container['errorHandler'] = fn (): Closure
    => function (Request $request, Response $response, Throwable $error): Response {
        error_log("slim: the error handler got {$error->getMessage()}");

        return $response->withStatus(500)->withJson(['handled' => $error::class]);
    };
// The first one added is the innermost.
$app->add(function (Request $request, Response $response, callable $next): Response {
    $public = str_ends_with($request->getUri()->getPath(), 'hello');
    $valid = $request->getHeaderLine('X-Token') === 'alice' && State::text() !== 'closed';
    if (!$public && !$valid) {
        return $response->withStatus(401)->withJson(['refused' => 'slim']);
    }

    return $next($request->withAttribute('user', 'alice'), $response);
});
$app->add(function (Request $request, Response $response, callable $next): Response {
    $response = $next($request, $response);
    error_log("slim: the after-middleware has {$response->getStatusCode()}");

    return $response->withHeader('X-App', 'slim')
        ->withAddedHeader('Set-Cookie', 'seen=1; path=/')->withAddedHeader('Set-Cookie', 'theme=dark; path=/');
});
$app->add(function (Request $request, Response $response, callable $next): Response {
    $response = $next($request, $response);

    return ($request->getQueryParams()['open'] ?? '') === 'early' ? EventStream::open($response) : $response;
});
$app->get('/hello', fn (Request $request, Response $response): Response => $response->write('hello from slim'));
$app->get('/stream', fn (Request $request, Response $response): Response => EventStream::respond(
    $response,
    Stream::of("users.{$request->getAttribute('user')}", 'news')->retry(700),
));
$app->get('/render', fn (Request $request, Response $response): Response => EventStream::respond(
    $response,
    Stream::of(State::TOPIC)->render(fn (): array => State::render($request->getAttribute('user')))->event('state'),
));
$app->post('/change', function (Request $request, Response $response): Response {
    State::change($request->getParsedBody()['text']);

    return $response->write('changed');
});
$app->post('/publish', function (Request $request, Response $response): Response {
    $fields = $request->getParsedBody();
    $id = sse_publish($fields['topic'], $fields['data'], mode: $fields['mode'] ?? null);
    if (($fields['fail'] ?? '') !== '') {
        throw new DomainException('after the publication');
    }

    return $response->write($id);
});
$app->run();
error_log('slim: the application has finished');
