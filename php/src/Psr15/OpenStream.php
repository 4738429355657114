<?php

declare(strict_types=1);

namespace Sse\Psr15;

use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\MiddlewareInterface;
use Psr\Http\Server\RequestHandlerInterface;
use Sse\Psr7\EventStream;

/**
 * A PSR-15 middleware that opens the streams of the responses that come through it, where the framework's error
 * middleware still gets their exceptions. Its place is just inside that one; headers set farther out come too late.
 *
 * ```php
 * $app = AppFactory::create();                    // Slim 4: what is added later is farther out
 * $app->add(new SessionMiddleware());
 * $app->add(new OpenStream());
 * $app->addErrorMiddleware(false, true, true);
 * ```
 *
 * Only with an emitter that asks headers_sent(), see {@see EventStream::open()}.
 */
final class OpenStream implements MiddlewareInterface
{
    public function process(ServerRequestInterface $request, RequestHandlerInterface $handler): ResponseInterface
    {
        return EventStream::open($handler->handle($request));
    }
}
