<?php

declare(strict_types=1);

namespace App;

use Closure;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\MiddlewareInterface;
use Psr\Http\Server\RequestHandlerInterface;

/** A middleware, or with one argument a handler, made of a function. */
final class Layer implements MiddlewareInterface, RequestHandlerInterface
{
    public function __construct(private readonly Closure $function)
    {
    }

    public function process(ServerRequestInterface $request, RequestHandlerInterface $handler): ResponseInterface
    {
        return ($this->function)($request, $handler);
    }

    public function handle(ServerRequestInterface $request): ResponseInterface
    {
        return ($this->function)($request);
    }
}
