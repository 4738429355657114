<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Sse\Health;

/**
 * `health.php`: 200 where streams can be opened here, 503 where not, and why by a word, `{"live": true, "ready": false,
 * "reasons": ["bus"]}`. With `?probe=live` it is 503 only where no hub answers. The sentences are in PHP's log, one
 * a minute: they have paths and addresses, and anybody may ask.
 */
final class HealthEndpoint
{
    public function respond(Request $request): Answer
    {
        if ($request->method !== 'GET' && $request->method !== 'HEAD') {
            return Answer::error(405, 'The health is read by GET')->with(['Allow' => 'GET, HEAD']);
        }
        $health = Health::check();
        foreach ($health->reasons as $name => $why) {
            SparseLog::tell($name, "health.php: $why");
        }
        $isWell = $request->text('probe') === 'live' ? $health->live : $health->ready;
        $answer = ['live' => $health->live, 'ready' => $health->ready, 'reasons' => array_keys($health->reasons)];

        return Answer::json($answer, $isWell ? 200 : 503);
    }
}
