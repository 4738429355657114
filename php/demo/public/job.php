<?php

declare(strict_types=1);

use Demo\Background;
use Demo\Page;

require __DIR__ . '/../src/start.php';

Page::begin('job', 'A job – php-sse', 'job.php');
?>
<div class="mb-5 max-w-4xl">
  <h1 class="text-2xl font-bold tracking-tight sm:text-3xl">A job that ends for good</h1>
  <p class="mt-1 text-base-content/80">
    A process beside the server imports 2,000 rows and tells how far it is. Its last event finishes the topic: every stream of it ends,
    and no browser comes back. Load the page again in the middle, or kill the hub: the bar goes on where the job is.
  </p>
</div>
<section class="card-plain p-4" aria-labelledby="import">
  <div class="flex flex-wrap items-center gap-3">
    <h2 class="font-semibold" id="import">The import</h2>
    <p id="state" class="state" role="status">No job yet</p>
    <div class="ml-auto flex flex-wrap gap-2">
      <a class="btn btn-sm" id="again" hidden target="_blank">Watch it in another window</a>
      <?php if (Background::mayStart()): ?>
      <button type="button" id="start" class="btn btn-primary btn-sm">Start a job</button>
      <?php endif ?>
    </div>
  </div>
  <progress id="bar" class="progress progress-primary mt-4 h-3 w-full" max="1" value="0" aria-labelledby="import"></progress>
  <p class="mt-1 text-sm text-base-content/80"><span id="rows">–</span></p>
  <p class="mt-1 text-sm text-base-content/70" id="note"></p>
</section>
<section class="card-plain mt-4 p-4" aria-labelledby="code">
  <h2 class="font-semibold" id="code">All of the PHP that makes it live</h2>
  <pre class="mt-2 overflow-x-auto rounded bg-base-200 p-3 text-sm" tabindex="0" role="region" aria-label="The code"><code>// job-stream.php: what the page watches
sse_stream("job.$id");

// the job, wherever it runs
sse_publish("job.$id", ['done' =&gt; $done, 'of' =&gt; $rows], event: 'progress');
sse_finish("job.$id", ['done' =&gt; $rows, 'of' =&gt; $rows], 'finished');</code></pre>
</section>
<?php
Page::end();
