<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Sse\CrudApi;
use Tqdev\PhpCrudApi\Column\ReflectionService;
use Tqdev\PhpCrudApi\Controller\Responder;
use Tqdev\PhpCrudApi\Database\GenericDB;
use Tqdev\PhpCrudApi\Middleware\Router\Router;
use Tqdev\PhpCrudApi\RequestUtils;

/**
 * A custom controller of PHP-CRUD-API: it has the routes of the streams, and adds the publisher to the API, or to one
 * that is asked by {@see Ask} the reader. The routes are the same in both, since the API keeps their numbers in its
 * cache.
 */
final class Controller
{
    private readonly Live $live;

    public function __construct(
        Router $router,
        Responder $responder,
        GenericDB $db,
        ReflectionService $reflection,
    ) {
        $bridge = CrudApi::bridge();
        $this->live = new Live($bridge, $responder);
        $ask = Reader::asked();
        $router->load($ask === null
            ? new Publisher($db, $reflection, $bridge)
            : new Reader($ask, $responder, $db, $reflection));
        foreach (['GET', 'HEAD'] as $method) {
            $router->register($method, '/sse/records/*', [$this, 'stream']);
            $router->register($method, '/sse/records/*/*', [$this, 'stream']);
        }
    }

    public function stream(ServerRequestInterface $request): ResponseInterface
    {
        $id = RequestUtils::getPathSegment($request, 4);

        return $this->live->open(
            RequestUtils::getPathSegment($request, 3),
            $id === '' ? null : $id,
            $request->getMethod() === 'HEAD',
        );
    }
}
