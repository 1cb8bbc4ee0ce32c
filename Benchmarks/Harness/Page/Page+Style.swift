extension Page {
  static let style = """
    :root { color-scheme: light; }
    * { box-sizing: border-box; }
    body {
      margin: 0; background: #f6f7f9; color: #1a1a1a;
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
    }
    main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
    h1 { font-size: 28px; line-height: 1.2; margin: 0 0 8px; }
    h2 { font-size: 20px; margin: 40px 0 12px; text-transform: capitalize; }
    p { max-width: 76ch; margin: 0 0 12px; }
    .lead { color: #3c4043; }
    .note { margin: 12px 0 0; }
    .machine {
      display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 6px 24px;
      margin: 20px 0 0; padding: 14px 18px; background: #fff; border: 1px solid #dfe2e6;
      border-radius: 6px;
    }
    .machine div { display: flex; gap: 12px; }
    .machine dt { flex: 0 0 96px; color: #5f6368; }
    .machine dd { margin: 0; overflow-wrap: anywhere; }
    .figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px; }
    figure {
      margin: 0; background: #fff; border: 1px solid #dfe2e6; border-radius: 6px; padding: 8px;
    }
    figure svg { display: block; width: 100%; height: auto; }
    figcaption { padding: 0 12px 8px; font-size: 13.5px; color: #5f6368; }
    table {
      width: 100%; border-collapse: collapse; background: #fff; border: 1px solid #dfe2e6;
      margin: 0 0 24px; font-size: 13.5px; font-variant-numeric: tabular-nums;
    }
    caption { text-align: left; font-weight: 600; padding: 8px 0; text-transform: capitalize; }
    th, td { text-align: left; padding: 3px 10px; vertical-align: top; font-weight: 400; }
    thead th { color: #5f6368; border-bottom: 1px solid #c8ccd1; white-space: nowrap; }
    tbody { border-bottom: 1px solid #e3e6ea; }
    tbody th { font-weight: 600; white-space: nowrap; }
    td:nth-child(3) { white-space: nowrap; }
    .n { text-align: right; white-space: nowrap; }
    .met { color: #1b6e3c; }
    .missed { color: #a33a00; font-weight: 600; }
    .noisy td { color: #8a8f94; }
    @media (max-width: 900px) { .figures { grid-template-columns: 1fr; } main { overflow-x: auto; } }
    @media print {
      @page { margin: 14mm; }
      body { background: #fff; font-size: 10.5pt; }
      main { max-width: none; padding: 0; }
      .figures { grid-template-columns: 1fr 1fr; gap: 10px; }
      figure, tbody, .machine { break-inside: avoid; }
      figure, .machine { border-color: #bbb; }
      h2 { break-after: avoid; margin-top: 20px; }
      table { font-size: 8pt; }
      th, td { padding: 2px 5px; }
      thead { display: table-header-group; }
    }

    """
}
