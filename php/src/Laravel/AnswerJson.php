<?php

declare(strict_types=1);

namespace Sse\Laravel;

use Closure;
use Illuminate\Http\Request;
use Symfony\Component\HttpFoundation\Response;

/**
 * The first middleware of the package's routes: nobody looks at what they answer. Whoever is not logged in gets 401 rather than
 * a redirect to the login, which would lead back to a stream afterwards, and Laravel does not note their URLs for back().
 */
final class AnswerJson
{
    /** @param Closure(Request): Response $next */
    public function handle(Request $request, Closure $next): Response
    {
        $request->headers->set('X-Requested-With', 'XMLHttpRequest');
        $request->headers->set('Accept', 'application/json');

        return $next($request);
    }
}
