<?php

declare(strict_types=1);

// One application that answers, within its limits, request after request in one process, as Octane's workers do.

use App\Events\Memory;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Http\Request;

$kernel = (require __DIR__ . '/boot.php')->make(Kernel::class);
$answers = [];
for ($at = 1; $at <= 280; $at++) {
    foreach (['announce' => 'POST', 'sse/channels' => 'GET'] as $path => $method) {
        $request = Request::create("/$path", $method, ['channels' => ['news'], 'text' => (string) $at]);
        $response = $kernel->handle($request);
        $kernel->terminate($request, $response);
        $answers["$path {$response->getStatusCode()}"] ??= 0;
        $answers["$path {$response->getStatusCode()}"]++;
    }
    if ($at % 28 === 0) {
        Memory::note();
    }
}
echo json_encode($answers, JSON_THROW_ON_ERROR);
