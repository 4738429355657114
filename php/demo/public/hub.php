<?php

declare(strict_types=1);

use Demo\Hub;
use Demo\Page;

require __DIR__ . '/../src/start.php';

Page::begin('hub', 'The hub – php-sse', 'hub.php');
?>
<div class="mb-5 flex flex-wrap items-end justify-between gap-3">
  <div class="max-w-3xl">
    <h1 class="text-2xl font-bold tracking-tight sm:text-3xl">The hub, live</h1>
    <p class="mt-1 text-base-content/80">
      One process holds every stream. These are its own figures, <code>sse_stats()</code>, sent once a second by a stream of its own: looking costs
      one render and one published event a second.
    </p>
    <p class="mt-2 flex flex-wrap items-center gap-3 text-sm"><span id="state" class="state" role="status">Not connected</span> <span id="process" class="text-base-content/70"></span></p>
  </div>
  <div class="flex flex-wrap gap-2">
    <button type="button" id="burst" class="btn btn-sm border-base-300 bg-base-100">Publish 200 events</button>
    <?php if (Hub::mayBeKilled()): ?>
    <button type="button" id="kill" class="btn btn-sm btn-error btn-outline">Kill the hub</button>
    <?php endif ?>
  </div>
</div>
<div id="charts" class="grid gap-4 sm:grid-cols-2 xl:grid-cols-3"></div>
<p id="note" class="mt-3 text-sm text-base-content/70" role="status"></p>
<section class="card-plain mt-4 p-4" aria-labelledby="all">
  <h2 class="font-semibold" id="all">All figures</h2>
  <p class="text-sm text-base-content/70">As <code>sse_stats()</code> returned them.</p>
  <dl id="figures" class="figures mt-3"></dl>
</section>
<?php
Page::end();
