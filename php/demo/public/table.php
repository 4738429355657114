<?php

declare(strict_types=1);

use Demo\Page;

require __DIR__ . '/../src/start.php';

Page::begin('table', 'Live table – php-sse', 'table.php');
?>
<div class="mb-5 max-w-4xl">
  <h1 class="text-2xl font-bold tracking-tight sm:text-3xl">A table that is never out of date</h1>
  <p class="mt-1 text-base-content/80">
    Two windows show one SQLite table. Change a cell in one, and the other has it at once. The change is an ordinary
    <code>PUT</code> to an API of records; one line after it says what has changed, and PHP runs the query once for all who watch.
  </p>
</div>
<div class="grid gap-4 lg:grid-cols-2">
  <div class="card-plain overflow-hidden"><iframe class="pane" title="The first window" src="stock.php?window=First"></iframe></div>
  <div class="card-plain overflow-hidden"><iframe class="pane" title="The second window" src="stock.php?window=Second"></iframe></div>
</div>
<section class="card-plain mt-4 p-4" aria-labelledby="code">
  <h2 class="font-semibold" id="code">All of the PHP that makes it live</h2>
  <pre class="mt-2 overflow-x-auto rounded bg-base-200 p-3 text-sm" tabindex="0" role="region" aria-label="The code"><code>// stock-stream.php: what the windows watch
sse_stream('records.stock.*', fn (): array =&gt; (new Stock())-&gt;all(), ['event' =&gt; 'records', 'share' =&gt; 'stock']);

// api.php: after each change
SseTrigger::push("records.stock.$id");</code></pre>
  <p class="mt-3 text-sm"><a class="link" href="stock.php?window=Third" target="_blank">Open one more window</a></p>
</section>
<?php
Page::end();
