<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Closure;

/**
 * `metrics.php`: the hub's figures for Prometheus, as OpenMetrics text, for whom the site lets read them ({@see Site::$metrics}):
 * they tell how many users there are and what goes wrong.
 */
final class MetricsEndpoint
{
    public function __construct(private readonly Site $site)
    {
    }

    public function respond(Request $request): Answer
    {
        if ($request->method !== 'GET' && $request->method !== 'HEAD') {
            return Answer::error(405, 'The figures are read by GET')->with(['Allow' => 'GET, HEAD']);
        }

        return $this->refusal($request)
            ?? new Answer(200, sse_metrics(), [
                'Content-Type' => 'application/openmetrics-text; version=1.0.0; charset=utf-8',
            ]);
    }

    private function refusal(Request $request): ?Answer
    {
        $allowed = $this->site->metrics;
        if (is_string($allowed)) {
            return hash_equals($allowed, $request->bearer() ?? '')
                ? null
                : Answer::error(401, 'The figures need the token of the site')->with(['WWW-Authenticate' => 'Bearer']);
        }

        return $allowed instanceof Closure && $allowed() === true
            ? null
            : Answer::error(403, 'The site does not let you read its figures');
    }
}
